"""The two entry points: HTTP requests become typed calls and errors responses; jobs report how they ended."""

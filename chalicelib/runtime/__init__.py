"""The two edges of the product: HTTP requests become typed calls and errors become answers; jobs say how they ended."""

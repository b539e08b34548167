"""Any text that a platform may send, and the text that may be stored of it."""

from hypothesis import strategies as st

from chalicelib.platforms.core.text import LONGEST

ANY_TEXT = st.text(st.characters(), max_size=200)


def storable(text: str | None) -> bool:
    if text is None:
        return True
    text.encode()
    return text != "" and "\0" not in text and len(text) <= LONGEST

"""Gmail v1, read-only: profile, labels, threads, messages and history.

https://developers.google.com/workspace/gmail/api/guides/sync
"""

import base64
import re
from collections.abc import Collection

from dev.sandbox.google.errors import invalid_parameter, refusal
from dev.sandbox.google.grants import SCOPE
from dev.sandbox.google.methods import Call, Method
from dev.sandbox.store import Expired, Store, walk
from dev.sandbox.wire import Json, Response, as_json

HOST = "gmail.googleapis.com"

LABELS = (
    *("INBOX", "SENT", "UNREAD", "IMPORTANT", "STARRED", "DRAFT", "SPAM", "TRASH"),
    *("CHAT", "CATEGORY_PERSONAL", "CATEGORY_PROMOTIONS", "CATEGORY_UPDATES", "CATEGORY_SOCIAL", "CATEGORY_FORUMS"),
)
HIDDEN = frozenset({"SPAM", "TRASH"})
HISTORY_MEMBERS = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}

METADATA = SCOPE + "gmail.metadata"
MAILBOX_SCOPES = ("https://mail.google.com/", SCOPE + "gmail.modify", SCOPE + "gmail.readonly", METADATA)
ADDON_SCOPES = tuple(SCOPE + f"gmail.addons.current.message.{name}" for name in ("action", "metadata", "readonly"))
CONTENT_SCOPES = frozenset(MAILBOX_SCOPES) - {METADATA}


def get_profile(call: Call) -> Response:
    _check_user(call)
    account = call.account
    gone = sum(
        not (account.threads.get(message_id) or {"messages": True})["messages"] for message_id in account.deleted
    )
    profile = {
        "emailAddress": account.owner.email,
        "messagesTotal": len(account.threads) + len(account.thread_of) - len(account.deleted),
        "threadsTotal": len(account.threads) - gone,
        "historyId": str(account.history.position),
    }
    return as_json(profile)


def list_labels(call: Call) -> Response:
    _check_user(call)
    return as_json({"labels": [_label(name) for name in LABELS]})


def get_label(call: Call) -> Response:
    _check_user(call)
    name = call.path["id"]
    if name not in LABELS:
        raise refusal(404, "notFound", "Requested entity was not found.")
    return as_json({**_label(name), **_counts(call.account.threads, name)})


def list_threads(call: Call) -> Response:
    """Newest first; a thread that arrives while pages are read does not shift the others."""
    _check_user(call)
    params = call.params
    (words, after, before), wanted = _search(call), set(params.texts("labelIds"))
    hidden = set() if params.flag("includeSpamTrash") else HIDDEN - wanted

    def admits(thread: Json) -> bool:
        messages = [message for message in thread["messages"] if not hidden & set(message["labelIds"])]
        found = any(after <= int(message["internalDate"]) // 1000 < before for message in messages)
        return found and wanted <= _labels(thread) and all(word in _text(thread) for word in words)

    threads = call.account.threads
    first = params.page().get("position", len(threads) - 1)
    found, position = walk(threads, range(first, -1, -1), params.size(default=100, most=500), admits)
    page = {"threads": [_listed(thread) for thread in found], "resultSizeEstimate": len(threads)}
    if position is not None:
        page["nextPageToken"] = params.page_token(position=position)
    return as_json(_without_empty(page))


def get_thread(call: Call) -> Response:
    _check_user(call)
    cut = _format(call, ("full", "metadata", "minimal"))
    thread = call.account.threads.get(call.path["id"])
    if thread is None or not thread["messages"]:
        raise refusal(404, "notFound", "Requested entity was not found.")
    messages = [_shown(message, cut, call.params.texts("metadataHeaders")) for message in thread["messages"]]
    return as_json({"id": thread["id"], "historyId": thread["historyId"], "messages": messages})


def get_message(call: Call) -> Response:
    _check_user(call)
    cut = _format(call, ("full", "metadata", "minimal", "raw"))
    try:
        found = call.account.message(call.path["id"])
    except ValueError:
        raise refusal(404, "notFound", "Requested entity was not found.") from None
    return as_json(_shown(found, cut, call.params.texts("metadataHeaders")))


def list_history(call: Call) -> Response:
    """What happened after `startHistoryId`, oldest first."""
    _check_user(call)
    account, params = call.account, call.params
    types = params.choices("historyTypes", tuple(HISTORY_MEMBERS)) or tuple(HISTORY_MEMBERS)
    size, label = params.size(default=100, most=500), params.text("labelId")
    newest = account.history.position
    try:
        changes = account.history.since(params.page().get("since", _start_history_id(call)))
    except Expired:
        raise refusal(404, "notFound", "Requested entity was not found.") from None
    found: list[Json] = []
    page: Json = {"history": found, "historyId": str(newest)}
    since = 0
    for position, record in changes:
        if len(found) == size:
            page["nextPageToken"] = params.page_token(since=since)
            break
        if any(HISTORY_MEMBERS[name] in record for name in types) and _touches(record, label):
            found.append(record)
        since = position
    return as_json(_without_empty(page))


def _check_user(call: Call) -> None:
    if call.path["userId"] not in ("me", call.account.owner.email):
        raise refusal(403, "forbidden", f"Delegation denied for {call.account.owner.email}")


def _search(call: Call) -> tuple[list[str], int, int]:
    """The words of `q`, and the seconds given by `after:` and `before:`. Other search operators are not supported."""
    query = call.params.text("q") or ""
    if query and not CONTENT_SCOPES & call.scopes:
        raise refusal(403, "forbidden", "Metadata scope does not support 'q' parameter")
    bounds = dict(re.findall(r"(after|before):(\d{1,12})(?=\s|$)", query))
    words = re.sub(r"(after|before):\d{1,12}(?=\s|$)", "", query)
    if ":" in words:
        raise invalid_parameter("q", "The sandbox only supports plain words, after:seconds and before:seconds")
    return words.lower().split(), int(bounds.get("after", 0)), int(bounds.get("before", 10**12))


def _format(call: Call, formats: Collection[str]) -> str:
    cut = call.params.choice("format", tuple(formats)) or "full"
    if cut in ("full", "raw") and not CONTENT_SCOPES & call.scopes:
        raise refusal(403, "forbidden", f"Metadata scope doesn't allow format {cut.upper()}")
    return cut


def _start_history_id(call: Call) -> int:
    text = call.params.text("startHistoryId")
    if text is None:
        raise invalid_parameter("startHistoryId", "Missing required parameter: startHistoryId")
    if not (text.isascii() and text.isdigit()):
        raise invalid_parameter("startHistoryId", "Invalid startHistoryId")
    return int(text)


def _shown(message: Json, cut: str, headers: Collection[str]) -> Json:
    """The message in the requested format."""
    if cut == "full":
        return message
    shown = {name: value for name, value in message.items() if name != "payload"}
    if cut == "raw":
        return {**shown, "raw": _raw(message["payload"])}
    if cut == "metadata":
        wanted = {name.lower() for name in headers}
        kept = [header for header in message["payload"]["headers"] if not wanted or header["name"].lower() in wanted]
        shown["payload"] = _without_empty({"mimeType": message["payload"]["mimeType"], "headers": kept})
    return shown


def _raw(payload: Json) -> str:
    head = "".join(f"{header['name']}: {header['value']}\r\n" for header in payload["headers"])
    return base64.urlsafe_b64encode(f"{head}\r\n".encode() + base64.urlsafe_b64decode(payload["body"]["data"])).decode()


def _listed(thread: Json) -> Json:
    return {"id": thread["id"], "snippet": thread["messages"][-1]["snippet"], "historyId": thread["historyId"]}


def _label(name: str) -> Json:
    return {"id": name, "name": name, "type": "system"}


def _counts(threads: Store, label: str) -> Json:
    every = (threads[index] for index in range(len(threads)))
    labelled = [[message for message in thread["messages"] if label in message["labelIds"]] for thread in every]
    unread = [sum("UNREAD" in message["labelIds"] for message in messages) for messages in labelled]
    return {
        "messagesTotal": sum(map(len, labelled)),
        "messagesUnread": sum(unread),
        "threadsTotal": sum(map(bool, labelled)),
        "threadsUnread": sum(map(bool, unread)),
    }


def _labels(thread: Json) -> set[str]:
    return {label for message in thread["messages"] for label in message["labelIds"]}


def _text(thread: Json) -> str:
    parts = [thread["messages"][0]["snippet"]]
    parts += [header["value"] for message in thread["messages"] for header in message["payload"]["headers"]]
    return " ".join(parts).lower()


def _touches(record: Json, label: str | None) -> bool:
    members = [entry for member in HISTORY_MEMBERS.values() for entry in record.get(member, ())]
    return label is None or any(label in entry["message"]["labelIds"] for entry in members)


def _without_empty(value: Json) -> Json:
    """Google omits empty lists."""
    return {name: member for name, member in value.items() if member != []}


_USER = "/gmail/v1/users/{userId}"
_FORMAT = ("format", "metadataHeaders")
_LABEL_SCOPES = (*MAILBOX_SCOPES, SCOPE + "gmail.labels")
_PAGED = ("maxResults", "pageToken")

METHODS = (
    Method("gmail.users.getProfile", f"{_USER}/profile", (*MAILBOX_SCOPES, SCOPE + "gmail.compose"), get_profile),
    Method("gmail.users.labels.list", f"{_USER}/labels", _LABEL_SCOPES, list_labels),
    Method("gmail.users.labels.get", f"{_USER}/labels/{{id}}", _LABEL_SCOPES, get_label),
    Method(
        "gmail.users.threads.list",
        f"{_USER}/threads",
        MAILBOX_SCOPES,
        list_threads,
        (*_PAGED, "q", "labelIds", "includeSpamTrash"),
    ),
    Method("gmail.users.threads.get", f"{_USER}/threads/{{id}}", (*MAILBOX_SCOPES, *ADDON_SCOPES), get_thread, _FORMAT),
    Method(
        "gmail.users.messages.get", f"{_USER}/messages/{{id}}", (*MAILBOX_SCOPES, *ADDON_SCOPES), get_message, _FORMAT
    ),
    Method(
        "gmail.users.history.list",
        f"{_USER}/history",
        MAILBOX_SCOPES,
        list_history,
        (*_PAGED, "startHistoryId", "historyTypes", "labelId"),
    ),
)

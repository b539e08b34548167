"""Gmail v1 in the sandbox: threads, formats, what the metadata scope forbids, and history."""

import base64
from typing import Any

import pytest

from tests.dev.sandbox_client import GMAIL, SandboxClient

SCOPE = "https://www.googleapis.com/auth/"
METADATA = {"format": "metadata"}
CATEGORIES = ("PROMOTIONS", "UPDATES", "SOCIAL", "FORUMS")


def threads(client: SandboxClient, **params: str) -> list[Any]:
    pages = client.pages(f"{GMAIL}/threads", {"includeSpamTrash": "true", "maxResults": "500", **params})
    return [thread for page in pages for thread in page.get("threads", [])]


def messages(client: SandboxClient) -> list[Any]:
    read = [client.get(f"{GMAIL}/threads/{thread['id']}", METADATA).json for thread in threads(client)]
    return [message for thread in read for message in thread["messages"]]


def history(client: SandboxClient, since: str, **params: str) -> Any:
    return client.get(f"{GMAIL}/history", {"startHistoryId": since, **params}).json


def history_id(client: SandboxClient) -> str:
    return str(client.get(f"{GMAIL}/profile").json["historyId"])


def test_the_studio_has_a_realistic_mailbox(google: SandboxClient) -> None:
    found = messages(google)
    labels = {label for message in found for label in message["labelIds"]}
    assert {"INBOX", "SENT", "UNREAD", "SPAM", "TRASH", "CHAT", *(f"CATEGORY_{name}" for name in CATEGORIES)} <= labels
    headers = {header["name"] for message in found for header in message["payload"]["headers"]}
    assert {"From", "To", "Subject", "Date", "Reply-To", "List-Unsubscribe", "Auto-Submitted", "In-Reply-To"} <= headers
    assert 70 <= len({message["threadId"] for message in found}) <= 85
    assert len({message["id"] for message in found}) == len(found)
    firsts = [message for message in found if message["id"] == message["threadId"]]
    assert any("SENT" in message["labelIds"] for message in firsts)
    month = 30 * 86_400_000
    newest = max(int(message["internalDate"]) for message in found)
    assert len([1 for message in firsts if int(message["internalDate"]) > newest - month]) > 10


def test_threads_are_paged_newest_first_without_gaps_or_duplicates(google: SandboxClient) -> None:
    first = google.get(f"{GMAIL}/threads", {"maxResults": "10"}).json
    google.sandbox.google.add_message()
    rest = google.get(f"{GMAIL}/threads", {"maxResults": "500", "pageToken": first["nextPageToken"]}).json
    ids = [thread["id"] for thread in first["threads"] + rest["threads"]]
    assert len(ids) == len(set(ids))
    dates = [google.get(f"{GMAIL}/messages/{message_id}", METADATA).json["internalDate"] for message_id in ids]
    assert dates == sorted(dates, reverse=True)
    assert len(threads(google)) > len(ids)  # spam and trash, and the one that arrived meanwhile


def test_threads_can_be_limited_to_labels(google: SandboxClient) -> None:
    spam = google.get(f"{GMAIL}/threads", {"labelIds": "SPAM"}).json["threads"]
    label = google.get(f"{GMAIL}/labels/SPAM").json
    assert len(spam) == label["threadsTotal"] == label["messagesTotal"] > label["threadsUnread"] > 0
    both = google.get(f"{GMAIL}/threads", [("labelIds", "INBOX"), ("labelIds", "UNREAD")]).json["threads"]
    assert 0 < len(both) < len(threads(google))


def test_empty_lists_are_omitted(google: SandboxClient) -> None:
    empty = google.acting_for("empty")
    assert empty.get(f"{GMAIL}/threads").json == {"resultSizeEstimate": 0}
    assert set(history(empty, history_id(empty))) == {"historyId"}


def test_a_bulk_account_has_as_many_threads_as_its_name_says(google: SandboxClient) -> None:
    bulk = google.acting_for("bulk-1201")
    found = threads(bulk)
    assert len({thread["id"] for thread in found}) == 1201 == bulk.get(f"{GMAIL}/profile").json["threadsTotal"]
    assert bulk.get(f"{GMAIL}/threads/{found[7]['id']}", METADATA).json["id"] == found[7]["id"]


def test_each_format_returns_its_documented_fields(google: SandboxClient) -> None:
    reader = google.acting_for(scopes=[SCOPE + "gmail.readonly"])
    message_id = threads(google, labelIds="INBOX")[0]["id"]
    shown = {
        cut: reader.get(f"{GMAIL}/messages/{message_id}", {"format": cut}).json
        for cut in ("full", "metadata", "minimal", "raw")
    }
    assert "payload" not in shown["minimal"]
    assert "body" not in shown["metadata"]["payload"]
    text = base64.urlsafe_b64decode(shown["full"]["payload"]["body"]["data"]).decode()
    assert text in base64.urlsafe_b64decode(shown["raw"]["raw"]).decode()
    assert reader.get(f"{GMAIL}/messages/{message_id}").json == shown["full"]


def test_metadata_headers_select_headers_in_any_case(google: SandboxClient) -> None:
    thread_id = threads(google)[0]["id"]
    params = [("format", "metadata"), ("metadataHeaders", "from"), ("metadataHeaders", "X-None")]
    (message,) = google.get(f"{GMAIL}/threads/{thread_id}", params).json["messages"]
    assert [header["name"] for header in message["payload"]["headers"]] == ["From"]


@pytest.mark.parametrize(
    ("path", "params"),
    [("/threads", {"q": "wedding"}), ("/threads/{id}", {}), ("/messages/{id}", {"format": "raw"})],
)
def test_the_metadata_scope_forbids_searches_and_contents(
    google: SandboxClient, path: str, params: dict[str, str]
) -> None:
    path = GMAIL + path.format(id=threads(google)[0]["id"])
    answer = google.get(path, params)
    assert (answer.status, answer.reason) == (403, "forbidden")
    assert google.acting_for(scopes=[SCOPE + "gmail.readonly"]).get(path, params).status == 200


def test_a_search_finds_threads_with_all_its_words(google: SandboxClient) -> None:
    reader = google.acting_for(scopes=[SCOPE + "gmail.readonly"])
    found = reader.get(f"{GMAIL}/threads", {"q": "Weekly Frame"}).json["threads"]
    assert len(found) == 4
    assert reader.get(f"{GMAIL}/threads", {"q": "from:someone"}).status == 400


def test_history_lists_only_messages_that_arrived_since(google: SandboxClient) -> None:
    since = history_id(google)
    thread_id = threads(google)[3]["id"]
    new = google.sandbox.google.add_message(sender="Ana Ruiz <ana@example.com>", subject="12 June?")
    reply = google.sandbox.google.add_message(thread_id=thread_id, labels=["SENT"])
    page = history(google, since)
    added = [record["messagesAdded"][0]["message"] for record in page["history"]]
    assert [message["id"] for message in added] == [new["id"], reply["id"]]
    assert [message["threadId"] for message in added] == [new["id"], thread_id]
    assert int(since) < int(page["history"][0]["id"]) < int(page["history"][1]["id"]) == int(page["historyId"])
    assert "history" not in history(google, page["historyId"])
    assert google.get(f"{GMAIL}/threads/{thread_id}", METADATA).json["messages"][-1]["id"] == reply["id"]
    headers = google.get(f"{GMAIL}/messages/{new['id']}", METADATA).json["payload"]["headers"]
    assert {"name": "From", "value": "Ana Ruiz <ana@example.com>"} in headers


def test_history_is_paged_and_can_be_filtered(google: SandboxClient) -> None:
    since = history_id(google)
    added = [google.sandbox.google.add_message(labels=[label])["id"] for label in ("INBOX", "SPAM", "INBOX")]
    pages = google.pages(f"{GMAIL}/history", {"startHistoryId": since, "maxResults": "2"})
    assert [record["messages"][0]["id"] for page in pages for record in page["history"]] == added
    assert len(history(google, since, labelId="SPAM")["history"]) == 1
    assert "history" not in history(google, since, historyTypes="messageDeleted")


def test_history_lists_label_changes_and_deletions(google: SandboxClient) -> None:
    message_id = google.sandbox.google.add_message(labels=["SPAM", "UNREAD"])["id"]
    since = history_id(google)
    moved = google.control("PATCH", "/messages", message_id=message_id, add=["INBOX"], remove=["SPAM"]).json
    assert moved["labelIds"] == ["UNREAD", "INBOX"]
    google.control("PATCH", "/messages", message_id=message_id, add=["INBOX"], remove=["SPAM"])  # changes nothing
    added, removed = history(google, since)["history"]
    assert (added["labelsAdded"][0]["labelIds"], removed["labelsRemoved"][0]["labelIds"]) == (["INBOX"], ["SPAM"])
    assert added["labelsAdded"][0]["message"]["threadId"] == message_id
    assert message_id in [
        thread["id"] for thread in google.get(f"{GMAIL}/threads", {"maxResults": "500"}).json["threads"]
    ]

    before, since = google.get(f"{GMAIL}/profile").json, history_id(google)
    google.control("DELETE", "/messages", message_id=message_id)
    (gone,) = history(google, since, historyTypes="messageDeleted")["history"]
    assert gone["messagesDeleted"][0]["message"]["id"] == message_id
    assert google.get(f"{GMAIL}/threads/{message_id}", METADATA).status == 404
    after = google.get(f"{GMAIL}/profile").json
    assert [before[name] - after[name] for name in ("messagesTotal", "threadsTotal")] == [1, 1]
    assert google.control("DELETE", "/messages", message_id=message_id).status == 400


def test_one_mail_in_the_trash_does_not_hide_its_thread(google: SandboxClient) -> None:
    first = google.sandbox.google.add_message()["id"]
    google.control("POST", "/messages", thread_id=first, labels=["SENT"])
    google.control("PATCH", "/messages", message_id=first, add=["TRASH"], remove=["INBOX"])
    assert google.get(f"{GMAIL}/threads", {"maxResults": "1"}).json["threads"][0]["id"] == first
    assert len(google.get(f"{GMAIL}/threads/{first}", METADATA).json["messages"]) == 2


def test_replies_go_to_the_other_party_and_reference_the_original(google: SandboxClient) -> None:
    form = google.sandbox.google.add_message(
        sender="Site <no-reply@x.example>", headers={"Reply-To": "ana@example.org"}
    )
    sent = google.sandbox.google.add_message(thread_id=form["id"], labels=["SENT"])
    headers = {header["name"]: header["value"] for header in sent["payload"]["headers"]}
    assert (headers["To"], headers["In-Reply-To"]) == ("ana@example.org", f"<{form['id']}@mail.example>")


def test_a_history_id_that_is_too_old_or_unknown_is_not_found(google: SandboxClient) -> None:
    expired = history_id(google)
    google.control("POST", "/expire-history")
    for start in (expired, "1", str(int(history_id(google)) + 1)):
        answer = google.get(f"{GMAIL}/history", {"startHistoryId": start})
        assert (answer.status, answer.reason) == (404, "notFound")
    assert "historyId" in history(google, history_id(google))
    for params in ({}, {"startHistoryId": "-1"}):
        assert google.get(f"{GMAIL}/history", params).status == 400


def test_counts_include_new_messages(google: SandboxClient) -> None:
    before = google.get(f"{GMAIL}/profile").json
    first = google.sandbox.google.add_message()
    google.control("POST", "/messages", thread_id=first["id"], text="And one more thing")
    after = google.get(f"{GMAIL}/profile").json
    assert after["messagesTotal"] == before["messagesTotal"] + 2
    assert after["threadsTotal"] == before["threadsTotal"] + 1
    assert after["messagesTotal"] == len(messages(google))
    assert google.control("POST", "/messages", thread_id="nothing").status == 400


def test_only_the_users_own_mailbox_is_accessible(google: SandboxClient) -> None:
    users = "/gmail.googleapis.com/gmail/v1/users"
    assert google.get(f"{users}/hello%40lindenandlight.example/profile").status == 200
    assert google.get(f"{users}/someone%40example.com/profile").status == 403


def test_missing_messages_and_threads_are_not_found(google: SandboxClient) -> None:
    for path in ("/threads/ffff", "/messages/ffff", "/labels/Label_1"):
        assert google.get(GMAIL + path, METADATA if "labels" not in path else {}).status == 404

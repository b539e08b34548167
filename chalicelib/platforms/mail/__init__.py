"""Who wrote a mail: headers, mailboxes and addresses, whatever the mail came from."""

"""Who wrote a mail: headers, mailboxes and addresses, independent of the mail's source."""

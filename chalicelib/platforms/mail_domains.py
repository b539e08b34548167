"""Mail domains that anybody may have an address in, so that two addresses of one have nothing to do with each other.

From mailcheck's list of popular domains (github.com/mailcheck/mailcheck/wiki/List-of-Popular-Domains), those of the
countries whose languages `trade_words` knows.
"""

_IN_EVERY_COUNTRY = frozenset({"aol", "gmx", "hotmail", "live", "outlook", "yahoo", "ymail"})
"""They have a domain under each country's own ending."""
_SINGLE = frozenset(
    {
        *("gmail.com", "googlemail.com", "icloud.com", "me.com", "mac.com", "msn.com", "rocketmail.com", "mail.com"),
        *(
            "email.com",
            "zoho.com",
            "fastmail.com",
            "fastmail.fm",
            "hey.com",
            "proton.me",
            "protonmail.com",
            "pobox.com",
        ),
        *("att.net", "bellsouth.net", "charter.net", "comcast.net", "cox.net", "earthlink.net", "sbcglobal.net"),
        *("verizon.net", "bell.net", "rogers.com", "shaw.ca", "sympatico.ca", "telus.net", "videotron.ca"),
        *(
            "blueyonder.co.uk",
            "bt.com",
            "btinternet.com",
            "ntlworld.com",
            "sky.com",
            "talktalk.co.uk",
            "virginmedia.com",
        ),
        *("bigpond.com", "optusnet.com.au", "xtra.co.nz", "t-online.de", "online.de", "web.de", "freenet.de"),
        *(
            "posteo.de",
            "mailbox.org",
            "bluewin.ch",
            "a1.net",
            "free.fr",
            "laposte.net",
            "neuf.fr",
            "orange.fr",
            "sfr.fr",
        ),
        *(
            "wanadoo.fr",
            "skynet.be",
            "telenet.be",
            "terra.es",
            "telefonica.net",
            "alice.it",
            "aliceposta.it",
            "libero.it",
        ),
        *("tiscali.it", "tin.it", "virgilio.it", "email.it", "bol.com.br", "globo.com", "ig.com.br", "terra.com.br"),
        *("uol.com.br", "sapo.pt", "prodigy.net.mx", "arnet.com.ar", "fibertel.com.ar", "speedy.com.ar"),
    }
)


def own_domain(address: str) -> str | None:
    """The domain of an address, None where it is not its owner's alone."""
    domain = address.rpartition("@")[2].casefold()
    is_public = domain in _SINGLE or domain.partition(".")[0] in _IN_EVERY_COUNTRY
    return None if is_public or not domain else domain

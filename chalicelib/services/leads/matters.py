"""Other matters about which strangers write to a studio in the words of the trade: what they want is no photographs for
money. The words are common knowledge of the trade, in seven languages."""

import msgspec

from chalicelib.services.leads.inquiring import find

OFFER = "offer"
"""Somebody wants to sell something to the studio; this comes through forms as well"""


class Matter(msgspec.Struct, frozen=True):
    """What a first message is about, if it has one of these words. `source` says why they mean that."""

    reason: str
    words: str
    source: str


MATTERS = (
    Matter(
        OFFER,
        """
        seo, search engine optimi-, search engines, rank, ranks, ranking, rankings, page one, on page 1, page 1 of,
        first page of google, top of google, google business listing, backlink-, back link-, dofollow, guest post-,
        guest article-, sponsored post-, link exchange, domain authority, webmaster, redesign your,
        web design service-, free audit, free report, free demo, quick demo, a demo, traffic to your, errors on your,
        broken links, more leads, new leads, wedding leads, leads per month, leads a month, more inquiries,
        wedding inquiries this, bride inquiries, more clients, more bookings, more brides, more weddings,
        booked sessions, booked weddings, weddings a month, more 5 star reviews, more reviews, help photographers,
        help wedding photographers, photographers who, ads for photographers, run ads for, with facebook ads,
        with instagram ads, chatbot-, ai assistant, real followers, more followers, get featured, be featured,
        feature your, promote it, promote your, profile was selected, picture was selected, photo was selected,
        have been selected, have been chosen, brand ambassador-, free trial, referral fee, affiliate program-,
        partner with us, partnership proposal, wholesale, your weddings, your brides, your customers,
        we offer photo booths, our photo booth, our booth, i fly drones, drone pilot-, i do wedding albums,
        our wedding albums, our albums, sample album-, free sample-, sample pack-, sample at, off this month,
        off your first, presets for, i edit, we edit, edit photos for, editing for photographers, editor for hire,
        photo editing service-, retouching service-, outsourc-, insurance for photographers, insurance for your,
        business funding, your business qualifies, bank statements, a loan, crypto, violating, your page will be,
        scheduled for deletion, exhibitor-, vendor booth-, booths, booth packages, 10 booth, spots left at,
        photographers wanted, vendors wanted, sponsor our, ads in the booklet, your own reels, extra income,
        unsubscribe, my last email, my previous email, dm us, message our main page, suchmaschine-, suchbegriff-,
        bei google auf, google platzierung-, mehr anfragen, mehr brautpaare, mehr kunden, mehr buchungen,
        mehr reichweite, neukundengewinnung, anfragen pro monat, kunden pro monat, euro im monat, eur monat,
        social media fur fotograf-, social media fuer fotograf-, werbeanzeigen, branchenbuch-, kostenlos testen,
        unverbindlich testen, markenbotschafter-, eure hochzeiten, deine hochzeiten, ihre hochzeiten,
        deine brautpaare, ihre brautpaare, hochzeitskunden, deine kunden, ihre kunden, hochzeitsfotografen planbar,
        fur hochzeitsfotograf-, fuer hochzeitsfotograf-, musteralb-, gern ein muster, ein kostenloses muster,
        muster verschickt, startrabatt, aussteller-, standplatz-, unsere fotobox, richtig versichert,
        kameraversicherung-, berufshaftpflicht-, zusatzliches einkommen, nebeneinkommen, gegenseitig empfehlen,
        bei brautpaaren empfehlen, ihnen ein angebot machen, dir ein angebot machen, bildbearbeitung fur,
        bildbearbeitung fuer, ich biete, wir bieten ihnen, wir bieten dir, meine letzte mail, letzte mail gesehen,
        mich mitbuchen, gegen die richtlinien, referencement, premiere page, plus de clients, plus de demandes,
        partenariat commercial, vos mariages, vos clients, retouche pour photographes, assurance pour photographes,
        posicionamiento, primera pagina, mas clientes, mas solicitudes, sus bodas, vuestras bodas, tus bodas,
        sus clientes, tus clientes, edicion para fotografos, seguro para fotografos, posizionamento, prima pagina,
        piu clienti, piu richieste, i vostri matrimoni, vostri clienti, i tuoi clienti, fotoritocco per fotografi,
        mais clientes, seus casamentos, seus clientes, edicao para fotografos, pozycjonowani-, wiecej klientow,
        wiecej zapytan
        """,
        "mail to the trade: search engines, advertising, contacts for sale, editing, albums, booths, insurance, fraud",
    ),
    Matter(
        "unpaid",
        """
        tfp, time for print-, trade for images, trade for photos, would you trade, for exposure, in exchange, collab,
        collabs, styled shoot-, styled wedding, free session, free family session, free shoot, donate, donating,
        a donation, silent auction, charity auction, inspirationsshooting-, styled shooting-, ohne honorar,
        unentgeltlich, auf tfp, sachspende-, um eine spende, shooting d inspiration, sans remuneration, intercambio,
        sin coste, donacion, shooting ispirazionale, senza compenso, em troca de, permuta, doacao
        """,
        "words that mislead: unpaid work, exchange, donations",
    ),
    Matter(
        "giveaway",
        """
        gewinnspiel-, giveaway-, jeu concours, sorteo, sorteio, concorso a premi
        """,
        "answers to a competition of the studio's own page",
    ),
    Matter(
        "job_seeker",
        """
        internship-, take interns, hire interns, as an intern, apprenticeship-, hire assistants, need an assistant,
        as an assistant, assistant photographer, are you hiring, you hiring for, join your team, as an associate,
        shadow you, resume is attached, cv is attached, job application, assist you at, help at weddings, praktikum-,
        praktikant-, bewerbung als, bewerbe mich, als assistenz, assistenz auf, assistenz bei, ausbildungsplatz-,
        mitlaufen, umsonst machen, bei dir arbeiten, cherche un stage, stage chez, ma candidature, en alternance,
        busco practicas, mi curriculum, busco trabajo, tirocinio, la mia candidatura, minha candidatura, um estagio,
        vaga de, praktyk-, staz w
        """,
        "words that mislead: people who want to learn or to work",
    ),
    Matter(
        "colleague",
        """
        second shooter needed, need a second shooter, a second shooter for, second photographer needed, second for me,
        do you second shoot, my second just, my second is, as a second shooter, fellow photographer,
        i m a photographer, i am a photographer, im a photographer, i m a wedding photographer,
        i am a wedding photographer, im a wedding photographer, i m a baby photographer, im a baby photographer,
        rent your studio, rent out your, studio rental, which presets, what presets, presets do you use, what camera,
        which camera, second shooter gesucht, suche second shooter, suchst du noch second shooter,
        noch eine zweite fotografin, noch einen zweiten fotografen, zweitfotograf-, bin selbst fotograf-,
        bin selbst hochzeitsfotograf-, bin auch fotograf-, bin fotograf-, studio mieten, mietstudio-, welches preset,
        welche kamera, welches objektiv, deuxieme photographe pour, je suis photographe, segundo fotografo para,
        soy fotograf-, secondo fotografo per, sono un fotografo, sono una fotografa, sou fotograf-, drugi fotograf,
        jestem fotograf-
        """,
        "photographers look for a second one for their own job or for a room to rent, or talk shop",
    ),
    Matter(
        "other_job",
        """
        was a guest, were guests, when will the pictures, when will the photos, are the pictures ready,
        when do we get the sneak, any sneak peek-, get one of me, download link, download the pictures,
        download the photos, gallery password, gallery pin, you are photographing, you re photographing,
        you will be photographing, order form, how do i order, picture day order, i m the dj, dj for the,
        dj from last, i m the florist, i m the coordinator, i m the planner for, we re the band, i m the caterer,
        we did hair, did the makeup, did her makeup, vendor intro, shot timeline, will credit, pics of the cake,
        send us some pictures, take down, please remove, could you remove, use your photo-, use your picture-,
        use your image-, using your photo-, using your picture-, lens cap-, lost and found, war gast, waren gaste,
        waren gaeste, als gaste einer, als gaeste einer, trauzeugin am, trauzeuge am, bilder herunterladen,
        fotos herunterladen, wann kommen die bilder, wann kommen denn die bilder, das bild von mir, das foto von mir,
        das bild bekommen, sie fotografieren ja, sie fotografieren die hochzeit, du fotografierst ja,
        du fotografierst die hochzeit, sind die band, waren die band, waren die dj, bin die floristin, bin der dj,
        sind der caterer, bin freie traurednerin, bin freier trauredner, abstimmung dienstleister,
        schickst du mir ein paar bilder, schickst du mir die bilder, das bild posten, fur das schaufenster,
        fuer das schaufenster, ihrer hochzeitsbilder, deiner hochzeitsbilder, bild verwenden, bilder verwenden,
        bild herunter, foto herunter, foto von mir auf, bild loschen, foto loschen, gehort der ihnen, fundsache-,
        liegen gelassen, etais invite-, etions invite-, telecharger les photos, supprimer la photo, nous sommes le dj,
        fui invitad-, eramos invitados, descargar las fotos, quitar la foto, somos la banda, soy el dj, ero invitat-,
        eravamo invitati, scaricare le foto, togliere la foto, siamo la band, fui convidad-, baixar as fotos,
        remover a foto, somos a banda, bylam gosci-, bylem gosci-
        """,
        "guests, relatives and suppliers of a job that is booked or over",
    ),
    Matter(
        "not_for_a_studio",
        """
        survey, interview you, have to interview, for my thesis, dissertation, school project, my questionnaire,
        catering quote, catering menu, menu for, cake order, table for, marketplace, craigslist, still for sale,
        for sale, marriage certificate-, umfrage-, bachelorarbeit-, masterarbeit-, meinen fragebogen, facharbeit,
        das menu, ist der saal, saal noch frei, torte bestellen, kleinanzeige-, zu verkaufen, eheurkunde-, sondage-,
        memoire de master, un menu pour, acte de mariage, encuesta, mi tesis, certificado de matrimonio, vendo,
        sondaggio, tesi di laurea, atto di matrimonio, pesquisa para, meu tcc, certidao de casamento, ankiet-,
        praca magisterska, jest na sprzedaz, article is online, beitrag ist jetzt online, artikel ist online
        """,
        "words that mislead: research, other trades, sales of things, papers",
    ),
)
"""The first one with a word in the text counts. No entry is a thing that a client may ask for as well: an album, a
second photographer or a drone names a matter only together with who offers it."""

UNSURE = (
    Matter(
        "training",
        """
        coaching-, mentor-, workshop-, tutorial-, portfolio review, photography class-, photography course-,
        learn from you, fotokurs-, weiterbildung-, formation photo, cours de photo, taller de foto, curso de foto,
        corso di foto, oficina de foto, warsztat-
        """,
        "somebody who wants to learn and would pay: some studios sell that",
    ),
    Matter(
        "unclear_work",
        """
        model, models, my portfolio, shoot with you, shoot w you, work together, work with you, influencer-,
        followers, collaboration, your couples, your clients, mein portfolio, zusammenarbeit, mich mal shooten,
        lust auf ein shooting, kooperation-, follower, second shooter, modele, partenariat, modelo, modella,
        colaborar, colaboracion, collaborare, collaborazione, parceria, wspolprac-
        """,
        "a session or a collaboration, but who pays is not said",
    ),
    Matter(
        "former_client",
        """
        you shot our, you photographed our, you did our, you took our, since our session, our last session,
        that time of year, that time again, you were our photographer, worked with you before, were at the wedding,
        was at the wedding, at the wedding on, at the wedding saturday, du hast unsere, sie haben unsere,
        hast du unsere, haben sie unsere, haben uns fotografiert, dich damals, sie damals, vor ein paar jahren,
        wieder mal wir, weisst du noch, warst bei unserer, auf der hochzeit von, auf der feier am,
        vous avez photographie, tu as photographie, aviez photographie, fotografiaste, nos hiciste, hiciste nuestra,
        hai fotografato, avevi fotografato, fotografou nosso, fotografou o nosso, robilas nam, robiles nam
        """,
        "somebody who says that the studio photographed them, or people they know, before",
    ),
)
"""The same, where it may become a job."""


def find_matter(folded: str, matters: tuple[Matter, ...] = MATTERS) -> tuple[Matter, str] | None:
    found = ((matter, find(matter.words, folded)) for matter in matters)
    return next(((matter, word) for matter, word in found if word is not None), None)

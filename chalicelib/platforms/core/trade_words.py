"""Words of the trade in its six largest languages: English, German, French, Spanish, Italian, Portuguese.

In lower case and without accents, as `titles.fold` returns them. A hyphen shows where a word may continue: `wedding-`
begins a word, `-hochzeit-` may be anywhere in one, as in a compound, and `boda` is a whole word.
"""

KINDS: dict[str, str] = {
    "engagement": """
        engagement-, engaged, couple shoot-, couples shoot-, couple session-, couples session-, e session, esession-,
        proposal shoot-, surprise proposal, pre wedding-, prewedding-,
        verlobung-, verlobt, paarshoot-, paarfoto-, parchenshoot-, paerchenshoot-, heiratsantrag-, kennenlernshoot-,
        fiancailles, seance couple, shooting couple, demande en mariage,
        preboda-, pre boda-, pedida de mano, prematrimonial-, pre matrimonial-,
        fidanzament-, promessa di matrimonio, pre casamento, precasamento, noivado-, pedido de casamento
    """,
    "wedding": """
        wedding-, elope-, bridal-, bride-, nuptial-, vow renewal-,
        -hochzeit-, -trauung-, standesamt-, braut-, heirat-, eheschliessung-, polterabend-,
        mariage-, ceremonie laique,
        boda, bodas, casamiento-, matrimoni-,
        nozze, sposi, sposa, sposalizio, unione civile,
        casamento-, noiva, noivas, noivos
    """,
    "newborn": """
        newborn-, maternity-, baby bump-, babybump-, fresh 48, fresh48, cake smash-, cakesmash-,
        neugeboren-, babybauch-, babyshoot-, babyfoto-, babygalerie-,
        nouveau ne, nouveaux nes, recien nacid-, premama, premaman, neonat-, recem nascid-, gestante-
    """,
    "family": "mini session-, minisession-, mini shoot-, minishoot-, familienshoot-, familienfoto-, familienbild-",
    "portrait": """
        -portrait-, -portrat-, -portraet-, headshot-, boudoir-, personal branding, sedcard-, senior session-,
        bewerbungsfoto-, bewerbungsbild-, businessfoto-, retrato-, ritratt-
    """,
    "event": """
        christening-, baptism-, bar mitzva-, bat mitzva-, quinceanera-,
        -taufe, taufen, taufgottesdienst-, kommunion-, erstkommunion-, konfirmation-, jugendweihe-, abiball-,
        bapteme-, premiere communion, bautizo-, primera comunion,
        battesim-, prima comunione, cresima-, batizado-, batismo-
    """,
}
"""Each of these makes an appointment a job. The first kind with a word in the title is the kind of the job."""

PERHAPS: dict[str, str] = {
    "engagement": "proposal-, couple, couples, pareja, coppia, casal, compromiso",
    "wedding": "novios, getting ready",
    "newborn": """
        baby, babys, babies, pregnan-, schwanger-, grossesse, naissance, maternite, bebe, bebes, embaraz-, maternidad-,
        gravidanza, maternita, bimbo, bimba, gravid-
    """,
    "family": """
        family, families, family reunion-, kids, children,
        familie-, kinder-, geschwister-, kindergarten-, kita-,
        famille-, enfants, familia-, ninos, infantil, famigli-, bambini, criancas
    """,
    "portrait": "business-, team, branding-, mitarbeiter-, equipe, actor-, senior",
    "event": """
        event, events, birthday-, party, parties, corporate-, gala, anniversar-, wedding anniversar-, graduation-, prom,
        sweet 16, communion, confirmation, class reunion-, school reunion-, concert-, conference-, festival-,
        baby shower-, ceremony,
        -geburtstag-, -feier, -feiern, hochzeitstag-, jubilaum-, jubilaeum-, einschulung-, abschlussball-, sommerfest-,
        anniversaire-, anniversaire de mariage, soiree-, evenement-, comunion,
        cumpleanos, quince anos, 15 anos, fiesta-, evento-, graduacion-, aniversari-, aniversario de boda-,
        compleanno, festa, feste, laurea, anniversario di matrimonio, comunione,
        festas, formatura-, aniversario de casamento
    """,
    "other": """
        product-, produkt-, food, real estate, immobilien-, interior-, dog, dogs, pet, pets, hunde-, pferde-, schul-
    """,
}
"""Also words of private life ("family dinner"): they make a job only together with a photography word."""

SHOOT = """
    shoot, shoots, -shooting-, photoshoot-, fotoshoot-, photo session-, reshoot-,
    seance photo-, sesion de foto-, sesion foto-, servizio fotografic-, sessao de foto-, sessao fotografic-,
    ensaio fotografic-, reportage-, reportaje-, reportagem-, fotoreportage-
"""
"""A job of no particular kind."""

PHOTOGRAPHY = (
    "-photo-, -foto-, session-, sitting, seance-, sesion-, servizio-, sessao, ensaio-, -bilder, pictures, pics"
)

CONSULTATION = """
    consult, consults, consultation-, meeting, meetings, meet with, call with, call re, call about, phone call-,
    video call-, zoom call-, discovery call-, intro call-, planning call-, consultation call-,
    -gesprach-, -gespraech-, -beratung-, -besprechung-, telefonat-, kennenlernen, videocall-,
    entretien-, appel decouverte, appel avec, rendez vous client-, rdv client-,
    consulta, consultas, reunion, reuniones, llamada-, cita con,
    consulenza-, colloquio-, chiamata con, incontro con,
    reuniao-, reunioes, chamada com, ligacao com, conversa com
"""
"""Conversations about a job, which are not jobs themselves."""

MISLEADING = """
    troubleshoot-, shooting range-, shooting club-, shooting star-, family name, photo id, photo book-, fotobuch-,
    passfoto-, passbild-, passport photo-
"""
"""They contain words of the trade but name no job."""

NO_JOB = """
    edit, edits, editing, retouch-, culling, cull, album design-, export-, webinar-, seminar-, training-, workshop-,
    masterclass-, as guest, as guests, as a guest, no camera, no session, no sessions, no wedding, no weddings,
    no shoot, no shoots, bearbeiten, bearbeitung-, bildbearbeitung-, retusch-, aussortieren, fortbildung-, schulung-,
    fotokurs-, als gast, als gaste, als gaeste, ohne kamera, keine shootings, keine hochzeiten, keine hochzeit,
    kein shooting, retouche-, retoucher, editer, tri des photos, formation-, comme invite-, sans appareil,
    pas de seance, pas de mariage, editar, edicion-, retoque-, seleccion de fotos, taller-, curso-, como invitad-,
    sin camara, no hay sesion-, fotoritocco-, post produzione, postproduzione, selezione foto, corso, corsi,
    come invitat-, senza macchina, edicao-, tratamento de fotos, selecao de fotos, oficina-, como convidad-,
    sem camera, sem sessoes
"""
"""A title with one of these is no appointment for a job, whatever job it names: work at the desk, courses, days kept
free, and weddings at which the owner is a guest."""

PRIVATE = """
    wedding fair-, wedding expo-, wedding show-, bridal fair-, bridal expo-, bridal show-, bridal open house,
    hochzeitsmesse-, brautmesse-, salon du mariage, feria de boda-, feria de novi-, fiera degli sposi, fiera sposi,
    fiera del matrimonio, feira de casamento-, feira de noiva-, dentist-, doctor, gym, yoga, pilates, haircut-, lunch,
    brunch, breakfast, happy hour, tax, taxes, accountant-, bookkeep-, landlord-, insurance-, bank, mechanic,
    oil change, vet, school run, open house, zahnarzt-, arzt, arzttermin-, friseur-, mittagessen, fruhstuck-,
    fruehstueck-, steuer-, steuerburo-, steuerberat-, buchhalt-, vermieter-, versicherung-, hausverwaltung-,
    werkstatt, tierarzt-, elternabend-, tag der offenen tur, dentiste-, medecin, coiffeur-, dejeuner, comptable-,
    impots, proprietaire, assurance-, dentista-, medico, medica, peluqueria-, almuerzo-, comida con, contable-,
    gestoria-, impuestos, casero, seguro, dal dentista, parrucchiere-, pranzo, commercialista-, tasse, assicurazione-,
    cabeleireiro-, almoco-, contador-, contabilista-, impostos, senhorio
"""
"""Fairs, and appointments of private life and of the office: a guest from outside does not make them a job."""

TENTATIVE = """
    hold, on hold, tentative, tentatively, provisional, unconfirmed, tbc, to be confirmed, pencil, penciled, pencilled,
    pencilled in, penciled in, option, optional,
    reserviert, vorgemerkt, unbestatigt, unbestaetigt, vorlaufig, vorlaeufig, unter vorbehalt,
    a confirmer, provisoire, en attente,
    opcion, opcional, por confirmar, prereserva, pre reserva, pendiente,
    opzione, da confermare, provvisorio, opcao, a confirmar, provisorio
"""
CALLED_OFF = """
    cancelled, canceled, called off, abgesagt, storniert, entfallt, entfaellt, fallt aus, faellt aus, ausgefallen,
    annule, annulee, cancelado, cancelada, anulado, anulada, annullato, annullata, cancellato, cancellata, disdetto,
    disdetta, desmarcado, desmarcada
"""
"""What people write before or after a title, or in brackets, instead of deleting the appointment."""

"""Sentences of many kinds on which a prepared model is compared with its original."""

from __future__ import annotations

__all__ = ["SAMPLES"]

SAMPLES = (
    "Yes.",
    "12",
    "Strike called off.",
    "Where is the next summit?",
    "How many people were injured when the bridge closed?",
    "Who replaced the finance minister in March?",
    "LONDON (Reuters) - Copper fell for a third day on Wednesday.",
    "Shares closed up 3.2% at $41.70, their highest since 2019.",
    'The mayor said: "We will not pay for it twice."',
    "Rain is expected in the north, with snow above 1,200 metres by Friday night.",
    "The court ruled, by five votes to four, that the law of 1997 does not apply to ferries.",
    "Real Betis 2-1 Valencia: a late penalty by the substitute decided a match that had seemed lost after ten minutes.",
    "Dr. Amara Okafor-Lindqvist, who led the study at Uppsala, warned that the sample of 412 patients was small.",
    "São Paulo, Zürich and Kraków have banned e-scooters from pavements; Tromsø has not.",
    "Der Bundestag hat das Gesetz am Donnerstag mit knapper Mehrheit verabschiedet.",
    "Le gouvernement a annoncé une hausse du salaire minimum dès le premier janvier.",
    "東京の株価は三日続けて下落した。",
    "Правительство отложило голосование до вторника.",
    "https://example.org/news/2024/05/17/harbour-reopens?ref=home&id=8841",
    "qwxz vvbn mmkl 000111 ###",
    "The port reopened on Monday after a two-day strike. Ferries to Bari left an hour late. Dockers had walked out on "
    "Saturday over plans to cut night shifts, leaving some 4,000 lorries waiting on the motorway and costing hauliers, "
    "by their own count, more than a million euros a day. The union said talks would resume next week.",
    "Harbour tunnel to open in June\nThe first cars will drive through the harbour tunnel on 3 June, eleven months "
    "later than planned, the transport department said on Thursday. The delay has added 48 million to a cost that had "
    "already doubled since work began. Engineers found water behind the eastern wall last summer and had to freeze the "
    "ground before they could go on. Until the autumn, lorries of more than 7.5 tonnes will still take the ferry, and "
    "cyclists will be carried through free of charge by a shuttle bus every twenty minutes. Residents of the old town "
    "have asked for a ban on through traffic, on which the council will vote after the holidays.",
    "word " * 400,
)

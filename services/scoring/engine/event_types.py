"""Which event types mean something to Myaku itself, and which types a selector takes."""

RESERVED = frozenset(
    {
        "account.updated",
        "account.closed",
        "account.overridden",
        "user.updated",
        "user.joined",
        "user.left",
        "user.erased",
        "onboarding.milestone",
        "survey.answered",
        "support.ticket_opened",
        "support.ticket_solved",
        "feedback.requested",
        "feedback.answered",
        "goal.set",
        "goal.attained",
        "problem.updated",
        "contact.made",
    }
)
RESERVED_PREFIXES = ("subscription.", "myaku.")


def is_reserved(event_type: str) -> bool:
    """Whether a type means something to Myaku itself; `*` stands for all others."""
    return event_type in RESERVED or event_type.startswith(RESERVED_PREFIXES)


def selects(types: frozenset[str], event_type: str) -> bool:
    """Whether a type is one of those; `*` stands for all that are not reserved."""
    return event_type in types or ("*" in types and not is_reserved(event_type))

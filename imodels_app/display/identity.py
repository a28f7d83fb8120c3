"""Who somebody is beside the name that they chose: what they were called by then that lasts."""

from dataclasses import dataclass

from imodels_app.models import Decision, Event, Operation, User


@dataclass(frozen=True)
class Identity:
    """email: a confirmed address, as it was then. issuer and subject are the sign-in service's words, person our id."""

    email: str
    issuer: str
    subject: str
    person: int

    def __str__(self) -> str:
        """mara@harbour.example, a1a0…0001 at https://ims.bentley.com, person 12"""
        return f"{self.email or 'no address recorded'}, {self.subject} at {self.issuer}, person {self.person}"


def of_person(person: User) -> Identity:
    return Identity(person.email, person.issuer, person.subject, person.pk)


def of_requester(operation: Operation) -> Identity:
    issuer, _, subject = operation.requester_key.partition("|")
    return Identity(operation.requester_email, issuer, subject, operation.requested_by_id)


def of_decider(decision: Decision) -> Identity:
    issuer, _, subject = decision.by_key.partition("|")
    return Identity(decision.by_email, issuer, subject, decision.by_id)


def of_actor(event: Event) -> Identity | None:
    """None: iModel Desk itself, or the platform. Its person comes with the event (select_related)."""
    person = event.actor
    return Identity(event.actor_email or person.email, person.issuer, person.subject, person.pk) if person else None

"""A believable wedding and portrait studio, in no platform's words; each platform's package tells it in its own."""

from dev.sandbox.studio.appointments import Appointment, appointments
from dev.sandbox.studio.letter import Letter
from dev.sandbox.studio.letters import conversations
from dev.sandbox.studio.people import STUDIO, ZONE, Person

__all__ = ["STUDIO", "ZONE", "Appointment", "Letter", "Person", "appointments", "conversations"]

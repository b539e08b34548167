"""A realistic wedding and portrait studio, independent of any platform; platforms map it to their own formats."""

from dev.sandbox.studio.appointments import Appointment, appointments
from dev.sandbox.studio.letter import Letter
from dev.sandbox.studio.letters import conversations
from dev.sandbox.studio.people import STUDIO, ZONE, Person

__all__ = ["STUDIO", "ZONE", "Appointment", "Letter", "Person", "appointments", "conversations"]

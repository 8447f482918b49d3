"""One flash of one bridge, from the wish to the verdict, event-sourced in the journal."""

//! Enumerates the licensed users of a run into the queue.

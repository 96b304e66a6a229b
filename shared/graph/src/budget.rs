//! The bytes of all pages of this process, out of one budget.

/// The bytes that all pages of one process may hold.
#[derive(Debug)]
pub struct ByteBudget {}

/// What one page holds of the budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {}

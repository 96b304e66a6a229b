//! Microsoft Graph: tokens, licensed users, interactions.

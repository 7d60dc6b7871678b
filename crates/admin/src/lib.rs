//! What an operator sees and sets: the HTTP API, metrics, HAProxy's CSV, the dashboard.
//!
//! It measures nothing itself: the wiring gives it a [`Source`].

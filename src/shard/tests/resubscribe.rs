//! Clients whose topics are changed.

use super::*;

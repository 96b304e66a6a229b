//! A simulated Microsoft Graph: tenant, truth, token endpoint, faults and limits.

//! `grpc.health.v1`, told truthfully: serving from when calls are taken until a stop is asked for.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// What one listener says of its services, and of itself under the empty name.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: &'static [&'static str],
}

impl Health {
    /// Nothing is served yet.
    pub async fn new(services: &'static [&'static str]) -> Self {
        let health = Self { reporter: HealthReporter::new(), services };
        health.set(ServingStatus::NotServing).await;
        health
    }

    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Calls are taken.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// A stop was asked for: whoever watches goes elsewhere, and what runs is brought to its end.
    pub async fn draining(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// The last word was said: open watches end, which would hold the listener up.
    pub async fn close(mut self) {
        for name in self.services {
            self.reporter.clear_service_status(name).await;
        }
        self.reporter.clear_service_status("").await;
    }

    async fn set(&self, status: ServingStatus) {
        for name in self.services {
            self.reporter.set_service_status(*name, status).await;
        }
        self.reporter.set_service_status("", status).await;
    }
}

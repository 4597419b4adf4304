//! A gateway and its banks as real processes, in a home of their own that is gone afterwards.
//!
//! Limits are small, so that what is rare in use comes about in a drill. Nothing outside the
//! temporary directory is touched. Refuses to know what a drill is.

use super::process::{LOOK_EVERY, Process};
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service};
use crate::init;
use crate::users::{self, EMBEDDED, Users};
use nix::sys::signal::Signal;
use recovery::model::BankName;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A service that is not ready by then will not be.
const READY_MAX: Duration = Duration::from_mins(1);
/// A service that was told to stop, and has not, hangs.
const STOP_MAX: Duration = Duration::from_secs(30);

const SEGMENT_BYTES: u64 = 1 << 20;
const TWO_PHASE_TIMEOUT_MS: u64 = 1_000;
const SETTLE_WAIT_MS: u64 = 300;
const DRAIN_MS: u64 = 300;

/// The cluster. Its processes end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    running: BTreeMap<Service, Process>,
    program: PathBuf,
    home: Home,
    config: Config,
    directory: Option<TempDir>,
    /// Services that read a configuration of their own.
    configured: BTreeMap<Service, PathBuf>,
    /// Services that are started by another program, and its arguments before theirs.
    wrapped: BTreeMap<Service, Vec<OsString>>,
    /// What every role is told beside its name.
    flags: Vec<OsString>,
}

impl Cluster {
    /// A new home, made below `parent` by `init`, with nothing running.
    pub fn make(
        program: &Path,
        parent: &Path,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, Failure> {
        let demo = users::parse(EMBEDDED, "the built-in users.json")?;
        Self::make_for(&demo, program, parent, adjust)
    }

    /// The same for other users than the demo's.
    pub fn make_for(
        users: &Users,
        program: &Path,
        parent: &Path,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, Failure> {
        crate::tls::install_provider();
        let directory = tempfile::Builder::new().prefix("strife-").tempdir_in(parent);
        let directory = directory.map_err(|error| {
            Failure::unexpected(&format!("make a directory in {}", parent.display()), &error)
        })?;
        let home = Home::new(directory.path().join("home"));
        let config = Config::standard().with_free_ports();
        let mut config = config.map_err(|error| Failure::unexpected("find free ports", &error))?;
        config.wal.segment_bytes = SEGMENT_BYTES;
        config.gateway.two_phase_timeout_ms = TWO_PHASE_TIMEOUT_MS;
        config.gateway.settle_wait_ms = SETTLE_WAIT_MS;
        config.limits.drain_ms = DRAIN_MS;
        config.console.enabled = false;
        adjust(&mut config);
        init::init(&home, &config, users)?;
        let (running, directory) = (BTreeMap::new(), Some(directory));
        let (program, configured) = (program.to_owned(), BTreeMap::new());
        let (wrapped, flags) = (BTreeMap::new(), Vec::new());
        Ok(Self { running, program, home, config, directory, configured, wrapped, flags })
    }

    /// From its next start `service` is started by `wrapper`, whose last argument is to be the
    /// program, and which must leave it the process id: a tracer. Empty: by itself again.
    pub fn wrap(&mut self, service: Service, wrapper: Vec<OsString>) {
        self.wrapped.insert(service, wrapper);
    }

    /// From its next start `service` reads this configuration instead of the home's.
    pub fn configure(&mut self, service: Service, config: &Config) -> Result<(), Failure> {
        let name = format!("{}.toml", service.file_stem());
        let file = self.home.root().with_file_name(name);
        std::fs::write(&file, config.to_toml())
            .map_err(|error| Failure::unexpected("write a configuration", &error))?;
        self.configured.insert(service, file);
        Ok(())
    }

    /// Has every role started from here on with `flag`.
    pub fn with_flag(&mut self, flag: &str) {
        self.flags.push(flag.into());
    }

    /// The process of `service`, while it runs.
    pub fn pid(&mut self, service: Service) -> Option<u32> {
        let process = self.running.get_mut(&service)?;
        process.ended().is_none().then(|| process.id())
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The gateway, then the banks.
    pub fn services(&self) -> Vec<Service> {
        let banks = self.config.banks.keys().map(|bank| Service::Bank(*bank));
        std::iter::once(Service::Gateway).chain(banks).collect()
    }

    pub fn banks(&self) -> impl Iterator<Item = BankName> {
        self.config.banks.keys().copied()
    }

    /// Starts whatever does not run, and waits until all are ready.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        let absent: Vec<_> =
            self.services().into_iter().filter(|service| !self.is_running(*service)).collect();
        for service in &absent {
            self.spawn(*service, None)?;
        }
        absent.into_iter().try_for_each(|service| self.wait_ready(service))
    }

    /// Starts `service` and waits until it is ready; says how long that took.
    pub fn start(&mut self, service: Service, crash_at: Option<&str>) -> Result<Duration, Failure> {
        let began = Instant::now();
        self.spawn(service, crash_at)?;
        self.wait_ready(service)?;
        Ok(began.elapsed())
    }

    /// Starts `service`, to die at `crash_at` if that is given.
    pub fn spawn(&mut self, service: Service, crash_at: Option<&str>) -> Result<(), Failure> {
        let mut role: Vec<OsString> = match service {
            Service::Gateway => vec!["gateway".into()],
            Service::Bank(bank) => vec!["bank".into(), bank.as_str().into()],
            Service::Console => vec!["console".into()],
        };
        if let Some(point) = crash_at {
            role.extend(["--crash-at".into(), point.into()]);
        }
        if let Some(file) = self.configured.get(&service) {
            role.extend(["--config".into(), file.into()]);
        }
        role.extend(self.flags.iter().cloned());
        self.running.remove(&service);
        let wrapper = self.wrapped.get(&service).map_or(&[][..], Vec::as_slice);
        let process = self.run_under(wrapper, &service.file_stem(), &self.home, role)?;
        self.running.insert(service, process);
        Ok(())
    }

    /// Any subcommand as a process of this cluster, on a home that may be another.
    pub fn run(
        &self,
        name: &str,
        home: &Home,
        subcommand: Vec<OsString>,
    ) -> Result<Process, Failure> {
        self.run_under(&[], name, home, subcommand)
    }

    fn run_under(
        &self,
        wrapper: &[OsString],
        name: &str,
        home: &Home,
        subcommand: Vec<OsString>,
    ) -> Result<Process, Failure> {
        let global: [OsString; 5] = [
            "--home".into(),
            home.root().into(),
            "--quiet".into(),
            "--color".into(),
            "never".into(),
        ];
        let own = global.into_iter().chain(subcommand);
        let mut words: Vec<_> = wrapper.to_vec();
        words.push(self.program.clone().into());
        words.extend(own);
        let talk = home.logs().join(format!("{name}.stderr"));
        Process::start(name.to_owned(), Path::new(&words[0]), &words[1..], talk)
    }

    /// Waits until `service` accepts.
    pub fn wait_ready(&mut self, service: Service) -> Result<(), Failure> {
        let until = Instant::now() + READY_MAX;
        loop {
            let process = self.process(service)?;
            let pid = process.id();
            if let Some(status) = process.ended() {
                let what = format!("{service} ended before it was ready: {status}");
                let failure = Failure::plain(exit_of(status), what);
                return Err(failure.todo(process.talk()));
            }
            if self.home.running(service).is_some_and(|running| running.pid == pid) {
                return Ok(());
            }
            if Instant::now() >= until {
                let what = format!("{service} was not ready in {} s", READY_MAX.as_secs());
                return Err(Failure::plain(Exit::Unexpected, what));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn process(&mut self, service: Service) -> Result<&mut Process, Failure> {
        let missing = || Failure::plain(Exit::Unexpected, format!("{service} was not started"));
        self.running.get_mut(&service).ok_or_else(missing)
    }

    pub fn is_running(&mut self, service: Service) -> bool {
        self.running.get_mut(&service).is_some_and(|process| process.ended().is_none())
    }

    pub fn signal(&mut self, service: Service, signal: Signal) -> Result<(), Failure> {
        self.process(service)?.signal(signal)
    }

    /// SIGKILL, now.
    pub fn kill(&mut self, service: Service) -> Result<(), Failure> {
        self.signal(service, Signal::SIGKILL)?;
        self.wait_ended(service, STOP_MAX).map(drop)
    }

    /// SIGTERM, and the end that was asked for.
    pub fn stop(&mut self, service: Service) -> Result<(), Failure> {
        self.signal(service, Signal::SIGTERM)?;
        let status = self.wait_ended(service, STOP_MAX)?;
        if status.success() {
            return Ok(());
        }
        let what = format!("{service} was asked to stop, and ended with {status}");
        Err(Failure::plain(exit_of(status), what))
    }

    /// Stops everything: the gateway first, then the banks together.
    pub fn stop_all(&mut self) -> Result<(), Failure> {
        if self.is_running(Service::Gateway) {
            self.stop(Service::Gateway)?;
        }
        let running: Vec<_> =
            self.services().into_iter().filter(|service| self.is_running(*service)).collect();
        for service in &running {
            self.signal(*service, Signal::SIGTERM)?;
        }
        running.into_iter().try_for_each(|service| self.stop(service))
    }

    pub fn wait_ended(
        &mut self,
        service: Service,
        within: Duration,
    ) -> Result<ExitStatus, Failure> {
        self.process(service)?.wait(within)
    }

    /// What `service` has said on stderr.
    pub fn talk(&self, service: Service) -> String {
        self.running.get(&service).map(Process::talk).unwrap_or_default()
    }

    /// Leaves the home where it is, to be looked at.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(directory) = self.directory.take() {
            let _ = directory.keep();
        }
        self.home.root().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Before the directory goes; all at once, then all are waited for.
        for process in self.running.values_mut() {
            let _ = process.signal(Signal::SIGKILL);
        }
        self.running.clear();
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    status.code().and_then(Exit::from_code).unwrap_or(Exit::Unexpected)
}

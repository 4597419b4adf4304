//! Real clusters for tests, two at a time: each is seven processes.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex, PoisonError};
use strife::config::Config;
use strife::errors::Failure;
use strife::home::{Home, Service};
use strife::live::{Place, Scene};

const AT_ONCE_MAX: u32 = 2;

static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run a cluster, until it is dropped.
pub(crate) struct Turn {
    places: u32,
}

impl Turn {
    pub(crate) fn take() -> Self {
        Self::wait_for(1)
    }

    /// With no other cluster beside it. (To take two turns one after the other is to wait for ever
    /// once two tests do.)
    pub(crate) fn alone() -> Self {
        Self::wait_for(AT_ONCE_MAX)
    }

    fn wait_for(places: u32) -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut u32| *taken + places > AT_ONCE_MAX;
        let mut taken = FREED.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken += places;
        Self { places }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.places;
        FREED.notify_all();
    }
}

pub(crate) fn place(seed: u64) -> Place {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_strife"));
    Place { program, parent: std::env::temp_dir(), seed }
}

/// A cluster that runs, and the turn that it takes.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    _turn: Turn,
}

impl Stage {
    /// Nothing runs yet.
    pub(crate) fn set() -> Self {
        Self::set_with(|_| {})
    }

    pub(crate) fn set_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let turn = Turn::take();
        Self { scene: good(Scene::set_with(&place(7), adjust)), _turn: turn }
    }

    pub(crate) fn begin() -> Self {
        let mut stage = Self::set();
        good(stage.scene.begin());
        stage
    }

    pub(crate) fn begin_armed(victim: Service, crash_at: &str) -> Self {
        let mut stage = Self::set();
        good(stage.scene.begin_armed(victim, crash_at));
        stage
    }

    pub(crate) fn home(&self) -> &Home {
        self.scene.cluster.home()
    }

    /// A command on this home, as clientN of the demo.
    pub(crate) fn client(&self, number: usize, arguments: &[&str]) -> Command {
        let banks = strife::config::DEFAULT_BANKS;
        let mut command = strife(self.home(), arguments);
        command
            .env("STRIFE_CLIENT_ID", format!("client{number}"))
            .env("STRIFE_USERNAME", format!("user{number}"))
            .env("STRIFE_PASSWORD", format!("pass{number}"))
            .env("STRIFE_BANK", banks[(number - 1) % banks.len()]);
        command
    }

    /// Runs it to its code, its JSON and its talk.
    pub(crate) fn json(
        &self,
        number: usize,
        arguments: &[&str],
    ) -> (i32, serde_json::Value, String) {
        let all: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let (code, data, talk) = ended(self.client(number, &all).output().expect("ran"));
        let data = serde_json::from_str(&data).unwrap_or(serde_json::Value::Null);
        (code, data, talk)
    }
}

/// The built program on a home, with nothing of ours in its environment.
pub(crate) fn strife(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strife"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
        command.env_remove(name);
    }
    command.arg("--home").arg(home.root()).args(["--color", "never"]).args(arguments);
    command
}

pub(crate) fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// What must go well.
pub(crate) fn good<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

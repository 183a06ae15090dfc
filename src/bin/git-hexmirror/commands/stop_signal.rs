//! The signals that ask a server to stop.

use tokio::sync::watch;

/// SIGINT and SIGTERM. Unlike tokio's own signals, they count from the moment of [`StopSignal::listen`], before anything is
/// awaited, and in any runtime. The first process of a container would otherwise ignore an early signal.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    pub fn listen() -> Self {
        let (stop, stopped) = watch::channel(false);
        #[cfg(unix)]
        listen(stop);
        #[cfg(not(unix))]
        drop(stop);
        Self(stopped)
    }

    /// Completes when such a signal has arrived.
    pub async fn received(&self) {
        #[cfg(unix)]
        if self.0.clone().wait_for(|is_stopped| *is_stopped).await.is_err() {
            // The system could not start a thread, so the signals have their usual effect.
            std::future::pending::<()>().await;
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(unix)]
fn listen(stop: watch::Sender<bool>) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let wait = |mut signals: Signals| {
        let wait = move || {
            while signals.forever().next().is_some() {
                stop.send_replace(true);
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait)
    };
    // Without this, the signals have their usual effect: they end the process at once.
    if let Ok(signals) = Signals::new([SIGINT, SIGTERM]) {
        drop(wait(signals));
    }
}

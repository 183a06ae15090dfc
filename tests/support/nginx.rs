//! nginx, which serves a folder as `docs/export.md` says.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::git::Sandbox;

/// A running nginx. It is stopped on drop.
pub struct Nginx {
    program: &'static str,
    /// The folder with its settings.
    own: PathBuf,
    pub url: String,
}

impl Nginx {
    /// Serves a folder below the sandbox. `None`, with a message, if there is no nginx.
    pub fn serve(sandbox: &Sandbox, folder: &Path) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("skipped: there is no nginx");
            return None;
        };
        // Its workers run as another user.
        fs::set_permissions(sandbox.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = tempfile::tempdir_in(sandbox.path()).unwrap().keep();
        let own_text = own.display();
        let settings = format!(
            "pid {own_text}/nginx.pid; error_log {own_text}/nginx.err; events {{}}\n\
             http {{ access_log off;\n{}\n}}\n",
            server_block(port, folder)
        );
        fs::write(own.join("nginx.conf"), settings).unwrap();
        let nginx = Self { program, own, url: format!("http://127.0.0.1:{port}") };
        // It goes into the background once it listens.
        assert!(nginx.command().status().unwrap().success());
        Some(nginx)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("-c").arg(self.own.join("nginx.conf")).arg("-e").arg(self.own.join("nginx.err"));
        command.env_clear().current_dir(&self.own).stderr(Stdio::null());
        command
    }
}

/// Returns the settings in the documentation, for another port and folder.
fn server_block(port: u16, folder: &Path) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/export.md")).unwrap();
    let block = page.split_once("```nginx\n").expect("settings of nginx").1.split_once("```").unwrap().0;
    let set = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from:?} is not in the settings");
        text.replace(from, to)
    };
    let block = set(block.to_owned(), "listen 80;", &format!("listen 127.0.0.1:{port};"));
    set(block, "/srv/hexmirror", folder.to_str().unwrap())
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.command().args(["-s", "stop"]).status();
    }
}

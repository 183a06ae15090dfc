//! The addresses that a server listens on.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use tokio::net::TcpListener as AsyncListener;

use super::error::ServeError;
use super::host_name::HostName;
use super::tls::Tls;

/// The length of the system's queue of new connections, as far as the system permits (`somaxconn`, listen(2)).
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// An address that a server listens on.
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    /// The certificate for HTTPS. `None` for plain HTTP.
    pub(super) tls: Option<Tls>,
}

/// How a request reached the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// Whether the connection uses TLS.
    pub(super) is_secure: bool,
    /// Whether the server listens on a loopback address for it.
    pub(super) is_loopback: bool,
}

impl Listener {
    /// Listens on an address (`HOST:PORT` or a [`SocketAddr`]; port 0 selects a free port).
    pub(super) fn bind(address: impl ToSocketAddrs + Display, tls: Option<Tls>) -> Result<Self, ServeError> {
        let unusable = |source| ServeError::Address { address: address.to_string(), source };
        let mut error = None;
        for address in address.to_socket_addrs().map_err(unusable)? {
            match listen(address) {
                Ok((socket, address)) => return Ok(Self { socket, address, tls }),
                Err(source) => error = Some(cannot_listen(address, source)),
            }
        }
        Err(error.unwrap_or_else(|| unusable(io::Error::from(io::ErrorKind::NotFound))))
    }

    /// Returns how requests of a peer reach the server here.
    pub(super) fn arrival(&self, peer: SocketAddr) -> Arrival {
        Arrival { peer, is_secure: self.tls.is_some(), is_loopback: self.address.ip().is_loopback() }
    }

    /// Returns a handle to the same socket that belongs to the current runtime.
    pub(super) fn in_runtime(&self) -> Result<AsyncListener, ServeError> {
        let socket = self.socket.try_clone().and_then(AsyncListener::from_std);
        socket.map_err(|source| ServeError::Listen { address: self.address, source })
    }

    /// Returns the base URL for clients on this machine. `names` are the names of the server that the user gave.
    ///
    /// The unspecified address is replaced with the loopback address, because clients cannot connect to the former.
    /// With TLS, the loopback address is replaced with `localhost`, because Erlang's clients do not compare IP
    /// addresses with a certificate's (`public_key`'s `pkix_verify_hostname/2`, whose default for `https` only knows
    /// names). This does not apply to a certificate that the user provides, which has names of its own.
    pub(super) fn base_url(&self, names: &[HostName]) -> String {
        let (mut address, port) = (self.address, self.address.port());
        let given = self.tls.as_ref().filter(|tls| tls.authority().is_none());
        if let Some(name) = given.and_then(|_| names.iter().find(|name| !name.is_pattern())) {
            return format!("https://{name}:{port}");
        }
        match &self.tls {
            Some(_) if address.ip().is_unspecified() || address.ip().is_loopback() => {
                return format!("https://localhost:{port}");
            }
            Some(_) => return format!("https://{address}"),
            None => {}
        }
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    // The standard library's queue of 128 is too short for bursts: the system drops further connections, and their
    // clients only retry after a second.
    #[cfg(unix)]
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}

fn cannot_listen(address: SocketAddr, source: io::Error) -> ServeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address },
        io::ErrorKind::PermissionDenied => ServeError::Permission { address },
        _ => ServeError::Listen { address, source },
    }
}

//! Moves this process into a network namespace in which only loopback exists (Linux, network_namespaces(7)).

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use rustix::process::{getgid, getuid};
use rustix::thread::UnshareFlags;
#[expect(
    deprecated,
    reason = "the replacement is unsafe because of file descriptors, which are not unshared here"
)]
use rustix::thread::unshare;

/// The flag of an interface that is up (netdevice(7)).
const IFF_UP: u32 = 1;
/// The message that changes an interface, and the flags of a request that wants an acknowledgement (rtnetlink(7),
/// netlink(7)).
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// The type of a response that contains an error number, which is 0 for an acknowledgement.
const NLMSG_ERROR: u16 = 2;
/// The index of the loopback interface, which is always the first one.
const LOOPBACK: i32 = 1;

/// Moves this process into a network namespace of its own, with a working loopback interface and nothing else. Child
/// processes inherit it. This cannot be undone, also if it fails half way: try it in another process first.
///
/// Needs the privilege for it, or else a user namespace, in which this user keeps the same number. The process must have
/// no other threads.
///
/// # Errors
/// Fails if the system does not permit it.
pub fn isolate() -> io::Result<()> {
    #[expect(deprecated, reason = "see the import")]
    let unshared = |flags| unshare(flags);
    match unshared(UnshareFlags::NEWNET) {
        Err(Errno::PERM) => {
            let (user, group) = (getuid().as_raw(), getgid().as_raw());
            unshared(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
            // Without privileges, a group can only be mapped after this (user_namespaces(7)).
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        }
        unshared => unshared?,
    }
    start_loopback()
}

fn start_loopback() -> io::Result<()> {
    // The default protocol is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut response = [0; 256];
    let (_, length) = recv(&socket, &mut response, RecvFlags::empty())?;
    match error_number(response.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(number)),
        None => Err(io::Error::other("the kernel did not acknowledge the request")),
    }
}

/// Returns the request to start the loopback interface: `nlmsghdr` and `ifinfomsg`, in the byte order of this machine.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // The sequence number and the port number.
    message.extend([0; 8]);
    // Any address family, and any type of device.
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    // The flags to change.
    message.extend(IFF_UP.to_ne_bytes());
    message
}

/// Returns the error number in a response, or `None` if it has none.
fn error_number(response: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(response.get(4..6)?.try_into().ok()?);
    let number = i32::from_ne_bytes(response.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(number.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_length_that_it_states() {
        let request = request();
        assert_eq!(request.len(), 32);
        assert_eq!(request[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn only_an_acknowledgement_is_success() {
        let response = |kind: u16, number: i32| {
            let mut bytes = vec![0; 36];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&number.to_ne_bytes());
            bytes
        };
        assert_eq!(error_number(&response(NLMSG_ERROR, 0)), Some(0));
        assert_eq!(error_number(&response(NLMSG_ERROR, -1)), Some(1));
        assert_eq!(error_number(&response(RTM_NEWLINK, 0)), None);
        assert_eq!(error_number(&response(NLMSG_ERROR, 0)[..19]), None);
        assert_eq!(error_number(&[]), None);
    }
}

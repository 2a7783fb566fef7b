package tetragon

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// canFail reports whether the kernel lets programs make a function fail. It is for
// functions that are not security hooks.
func (p *policyReader) canFail(function string) bool { return p.machine.Failable[function] }

// failures adds the probes that make marked calls fail.
func (s *script) failures() {
	if len(s.errors) == 0 {
		return
	}
	for _, hook := range keys(s.hooks) {
		s.add(s.hooks[hook].at, "fmod_ret:%s\n{\n", hook)
		for _, e := range s.errors {
			s.add(s.hooks[hook].at, "  if (has_key(@tg_fail%d, tid)) {\n    deny(%d);\n  }\n", e, e)
		}
		s.add(s.hooks[hook].at, "}\n\n")
	}
	var ends []string
	for _, call := range keys(s.ends) {
		ends = append(ends, "tracepoint:syscalls:sys_exit_"+call)
	}
	if len(ends) > 0 {
		s.add(source.Span{}, "%s\n{\n", strings.Join(ends, ",\n"))
		for _, e := range s.errors {
			s.add(source.Span{}, "  delete(@tg_fail%d, tid);\n", e)
		}
		s.add(source.Span{}, "}\n\n")
	}
}

// securityHooks are the kernel's security hooks that system calls run. If programs cannot
// make a system call fail, they can make its security hook fail.
var securityHooks = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"link": "inode_link", "linkat": "inode_link", "symlink": "inode_symlink", "symlinkat": "inode_symlink",
		"mkdir": "inode_mkdir", "mkdirat": "inode_mkdir", "rmdir": "inode_rmdir", "unlink": "inode_unlink", "unlinkat": "inode_unlink inode_rmdir",
		"rename": "inode_rename", "renameat": "inode_rename", "renameat2": "inode_rename", "mknod": "inode_mknod", "mknodat": "inode_mknod",
		"open": "file_open", "openat": "file_open", "openat2": "file_open", "creat": "file_open",
		"execve": "bprm_creds_for_exec", "execveat": "bprm_creds_for_exec",
		"chmod": "inode_setattr", "fchmod": "inode_setattr", "fchmodat": "inode_setattr", "fchmodat2": "inode_setattr",
		"chown": "inode_setattr", "fchown": "inode_setattr", "lchown": "inode_setattr", "fchownat": "inode_setattr",
		"truncate": "inode_setattr path_truncate", "ftruncate": "inode_setattr", "utimensat": "inode_setattr",
		"setxattr": "inode_setxattr", "lsetxattr": "inode_setxattr", "fsetxattr": "inode_setxattr", "removexattr": "inode_removexattr",
		"stat": "inode_getattr", "newfstatat": "inode_getattr", "newstat": "inode_getattr", "newlstat": "inode_getattr", "newfstat": "inode_getattr", "statx": "inode_getattr",
		"readlink": "inode_readlink", "readlinkat": "inode_readlink", "access": "inode_permission", "faccessat": "inode_permission", "faccessat2": "inode_permission",
		"chdir": "inode_permission", "chroot": "inode_permission",
		"read": "file_permission", "write": "file_permission", "readv": "file_permission", "writev": "file_permission", "pread64": "file_permission",
		"pwrite64": "file_permission", "getdents64": "file_permission", "getdents": "file_permission", "sendfile64": "file_permission",
		"ioctl": "file_ioctl", "fcntl": "file_fcntl", "flock": "file_lock", "mmap": "mmap_file", "mprotect": "file_mprotect",
		"socket": "socket_create", "socketpair": "socket_create", "bind": "socket_bind", "connect": "socket_connect", "listen": "socket_listen",
		"accept": "socket_accept", "accept4": "socket_accept", "sendto": "socket_sendmsg", "sendmsg": "socket_sendmsg", "sendmmsg": "socket_sendmsg",
		"recvfrom": "socket_recvmsg", "recvmsg": "socket_recvmsg", "setsockopt": "socket_setsockopt", "getsockopt": "socket_getsockopt",
		"shutdown": "socket_shutdown", "getsockname": "socket_getsockname", "getpeername": "socket_getpeername",
		"mount": "sb_mount", "umount": "sb_umount", "pivot_root": "sb_pivotroot", "move_mount": "move_mount",
		"ptrace": "ptrace_access_check ptrace_traceme", "kill": "task_kill", "tkill": "task_kill", "tgkill": "task_kill",
		"setuid": "task_fix_setuid", "setreuid": "task_fix_setuid", "setresuid": "task_fix_setuid", "setfsuid": "task_fix_setuid",
		"setgid": "task_fix_setgid", "setregid": "task_fix_setgid", "setresgid": "task_fix_setgid", "capset": "capset",
		"setpgid": "task_setpgid", "getpgid": "task_getpgid", "getsid": "task_getsid", "setpriority": "task_setnice", "sched_setaffinity": "task_setscheduler",
		"sched_setscheduler": "task_setscheduler", "prlimit64": "task_prlimit task_setrlimit", "prctl": "task_prctl",
		"clone": "task_alloc", "clone3": "task_alloc", "fork": "task_alloc", "vfork": "task_alloc", "unshare": "prepare_creds",
		"bpf": "bpf", "perf_event_open": "perf_event_open", "syslog": "syslog", "settimeofday": "settime64", "clock_settime": "settime64",
		"adjtimex": "settime64", "quotactl": "quotactl", "init_module": "kernel_load_data", "finit_module": "kernel_read_file",
		"add_key": "key_permission", "msgget": "msg_queue_associate", "shmget": "shm_associate", "semget": "sem_associate", "shmat": "shm_shmat",
		"io_uring_setup": "uring_override_creds", "userfaultfd": "inode_init_security_anon",
	}
}}

// failLater adds the statements that mark a system call to fail in its security hook, for an
// action. It reports whether the kernel has a hook for one of the calls.
func (p *policyReader) failLater(calls []string, a *action) bool {
	found := false
	for _, call := range calls {
		call = syscallName(call)
		if fn := "__x64_sys_" + call; p.canFail(fn) {
			p.script.hooks[fn] = a
			found = true
		} else {
			for _, hook := range strings.Fields(securityHooks.Get()[call]) {
				if _, err := p.terms.Kernel.FuncProto("vmlinux", "security_"+hook); err == nil {
					p.script.hooks["security_"+hook] = a
					found = true
				}
			}
		}
		if _, err := p.terms.Kernel.Tracepoint("syscalls", "sys_exit_"+call); err == nil {
			p.script.ends[call] = true
		}
	}
	return found
}

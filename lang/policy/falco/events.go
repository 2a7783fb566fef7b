package falco

import (
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// Event is a type of events: a system call that returns.
type Event struct {
	Name     string
	Syscall  string // as the kernel's tracepoint has it
	Category string
	// Creates: the call returns a descriptor. Uses: its first argument is one.
	Creates, Uses bool
	Reads, Writes bool // it moves data
	Waits         bool
	// Frequent events are only watched for rules that name them.
	Frequent bool
	Params   []Param
}

// Param is a parameter of an event.
type Param struct {
	Name  string
	Kind  Kind
	Table string // for flags and enumerations: the name of the table of names
	Src   string // where it comes from: see values in script.go
	Dir   string // for a path: the number of the argument with the directory that it is relative to
}

// Kind is how a parameter is shown.
type Kind uint8

const (
	Dec  Kind = iota // a signed number
	Uint             // a number without sign
	Hex
	Oct
	FD      // a descriptor
	Errno   // 0 or more, or the name of an error
	Process // the ID of a process
	UID     // of a user
	GID     // of a group
	Signal  // a number with a name
	Flags   // several of a table
	Enum    // one of a table
	Mode    // permissions
	Path    // a path, made absolute
	String  // a text as it is
	Data    // bytes
	Tuple   // the ends of a connection
	SockAddr
)

var kinds = lazy.Table[map[string]Kind]{New: func() map[string]Kind {
	return map[string]Kind{
		"dec": Dec, "uint": Uint, "hex": Hex, "oct": Oct, "fd": FD, "errno": Errno, "pid": Process, "uid": UID, "gid": GID,
		"sig": Signal, "flags": Flags, "enum": Enum, "mode": Mode, "path": Path, "str": String, "data": Data, "tuple": Tuple, "addr": SockAddr,
	}
}}

// eventTable has a line for each type of events: the name, after a colon the system call
// if it has another name, the category, the flags in brackets, and the parameters. A
// parameter is name=kind, with the table of its names after a dot, @ and the argument with
// the directory of a path, and after a colon its source. The sources are a0 to a5, the
// arguments; s0 to s5, the texts that they point to; ret, the result; and others that
// script.go knows. Without a source, the parameter has no value.
const eventTable = `
open file [c] fd=fd:ret name=path:s0 flags=flags.open:a1 mode=oct:a2 dev=hex:dev ino=uint:ino
openat file [c] fd=fd:ret dirfd=fd:a0 name=path@a0:s1 flags=flags.open:a2 mode=oct:a3 dev=hex:dev ino=uint:ino
openat2 file [c] fd=fd:ret dirfd=fd:a0 name=path@a0:s1 flags=flags.open:how0 mode=oct:how1 resolve=flags.resolve:how2 dev=hex:dev ino=uint:ino
creat file [c] fd=fd:ret name=path:s0 mode=oct:a1 dev=hex:dev ino=uint:ino creat_flags=flags.open:
open_by_handle_at file [c] fd=fd:ret mountfd=fd:a0 flags=flags.open:a2 path=path:fdpath dev=hex:dev ino=uint:ino
execve process [] res=errno:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd fdlimit=dec: pgft_maj=uint: pgft_min=uint: vm_size=uint: vm_rss=uint: vm_swap=uint: comm=str:comm cgroups=str: env=str:env tty=uint:tty vpgid=pid:vpgid loginuid=uid:loginuid flags=flags.exec:exeflags cap_inheritable=hex:capinh cap_permitted=hex:capprm cap_effective=hex:capeff exe_ino=uint:exeino exe_ino_ctime=uint:exectime exe_ino_mtime=uint:exemtime uid=uid:uid trusted_exepath=str:exepath pgid=pid:pgid gid=gid:gid filename=path:s0
execveat process [] res=errno:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd fdlimit=dec: pgft_maj=uint: pgft_min=uint: vm_size=uint: vm_rss=uint: vm_swap=uint: comm=str:comm cgroups=str: env=str:env tty=uint:tty vpgid=pid:vpgid loginuid=uid:loginuid flags=flags.exec:exeflags cap_inheritable=hex:capinh cap_permitted=hex:capprm cap_effective=hex:capeff exe_ino=uint:exeino exe_ino_ctime=uint:exectime exe_ino_mtime=uint:exemtime uid=uid:uid trusted_exepath=str:exepath pgid=pid:pgid gid=gid:gid dirfd=fd:a0 pathname=path@a0:s1
clone process [] res=pid:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd comm=str:comm flags=flags.clone:a0 uid=uid:uid gid=gid:gid vtid=pid:vtid vpid=pid:vpid
clone3 process [] res=pid:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd comm=str:comm flags=flags.clone:clone3 uid=uid:uid gid=gid:gid vtid=pid:vtid vpid=pid:vpid
fork process [] res=pid:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd comm=str:comm uid=uid:uid gid=gid:gid vtid=pid:vtid vpid=pid:vpid
vfork process [] res=pid:ret exe=str:exe args=str:args tid=pid:tid pid=pid:pid ptid=pid:ppid cwd=str:cwd comm=str:comm uid=uid:uid gid=gid:gid vtid=pid:vtid vpid=pid:vpid
socket net [c] fd=fd:ret domain=enum.family:a0 type=uint:a1 proto=uint:a2
socketpair ipc [] res=errno:ret fd1=fd:pair0 fd2=fd:pair1 source=hex: peer=hex: domain=enum.family:a0 type=uint:a1 proto=uint:a2
bind net [u] res=errno:ret addr=addr:sa1 fd=fd:a0
connect net [u] res=errno:ret tuple=tuple:sa1 fd=fd:a0 addr=addr:sa1
listen net [u] res=errno:ret fd=fd:a0 backlog=dec:a1
accept net [c] fd=fd:ret tuple=tuple:tuple queuepct=uint: queuelen=uint: queuemax=uint: flags=hex:
accept4 net [c] fd=fd:ret tuple=tuple:tuple queuepct=uint: queuelen=uint: queuemax=uint: flags=hex:a3
getsockname net [f] 
getpeername net [f] 
shutdown net [u] res=errno:ret fd=fd:a0 how=enum.shutdown:a1
setsockopt net [u] res=errno:ret fd=fd:a0 level=enum.sol:a1 optname=enum.sockopt:a2 val=dec: optlen=uint:a4
getsockopt net [uf] res=errno:ret fd=fd:a0 level=enum.sol:a1 optname=enum.sockopt:a2 val=dec: optlen=uint:
sendto net [uw] res=errno:ret data=data:data1 fd=fd:a0 size=uint:a2 tuple=tuple:sa4
sendmsg net [uw] res=errno:ret data=data:iov fd=fd:a0 size=uint: tuple=tuple:msg
sendmmsg net [uw] res=errno:ret fd=fd:a0 size=uint: data=data: tuple=tuple:tuple
recvfrom net [urf] res=errno:ret data=data:dataret1 tuple=tuple:from4 fd=fd:a0 size=uint:a2
recvmsg net [urf] res=errno:ret size=uint:ret data=data: tuple=tuple:from msgcontrol=data: fd=fd:a0
recvmmsg net [urf] res=errno:ret fd=fd:a0 size=uint: data=data: tuple=tuple:tuple msgcontrol=data:
read io [urf] res=errno:ret data=data:dataret1 fd=fd:a0 size=uint:a2
readv io [urf] res=errno:ret size=uint: data=data: fd=fd:a0
pread:pread64 io [urf] res=errno:ret data=data:dataret1 fd=fd:a0 size=uint:a2 pos=uint:a3
preadv io [urf] res=errno:ret size=uint: data=data: fd=fd:a0 pos=uint:a3
write io [uwf] res=errno:ret data=data:dataret1 fd=fd:a0 size=uint:a2
writev io [uwf] res=errno:ret data=data: fd=fd:a0 size=uint:
pwrite:pwrite64 io [uwf] res=errno:ret data=data:dataret1 fd=fd:a0 size=uint:a2 pos=uint:a3
pwritev io [uwf] res=errno:ret data=data: fd=fd:a0 size=uint: pos=uint:a3
sendfile:sendfile64 io [uf] res=errno:ret offset=uint: out_fd=fd:a0 in_fd=fd:a1 size=uint:a3
splice io [uf] res=errno:ret fd_in=fd:a0 fd_out=fd:a2 size=uint:a4 flags=flags.splice:a5
copy_file_range file [urw] res=errno:ret fdout=fd:a2 offout=uint: fdin=fd:a0 offin=uint: len=uint:a4
close io [uf] res=errno:ret fd=fd:a0
close_range io [f] res=errno:ret first=dec:a0 last=dec:a1 flags=hex:a2
dup io [u] res=fd:ret fd=fd:a0
dup2 io [u] res=fd:ret oldfd=fd:a0 newfd=fd:a1
dup3 io [u] res=fd:ret oldfd=fd:a0 newfd=fd:a1 flags=flags.open:a2
fcntl io [uf] res=fd:ret fd=fd:a0 cmd=enum.fcntl:a1
ioctl io [uf] res=errno:ret fd=fd:a0 request=hex:a1 argument=hex:a2
flock file [uf] res=errno:ret fd=fd:a0 operation=flags.flock:a1
lseek file [uf] res=errno:ret fd=fd:a0 offset=uint:a1 whence=enum.whence:a2
fstat:newfstat file [uf] res=errno:ret fd=fd:a0
stat:newstat file [f] res=errno:ret path=path:s0
lstat:newlstat file [f] res=errno:ret path=path:s0
newfstatat file [f] res=errno:ret dirfd=fd:a0 path=path@a0:s1 flags=hex:a3
statx file [f] res=errno:ret dirfd=fd:a0 path=path@a0:s1 flags=hex:a2
access file [f] res=errno:ret name=path:s0 mode=flags.access:a1
faccessat file [f] res=errno:ret dirfd=fd:a0 name=path@a0:s1 mode=flags.access:a2
faccessat2 file [f] res=errno:ret dirfd=fd:a0 name=path@a0:s1 mode=flags.access:a2 flags=hex:a3
getdents file [uf] res=errno:ret fd=fd:a0
getdents64 file [uf] res=errno:ret fd=fd:a0
readlink file [f] res=errno:ret path=path:s0
readlinkat file [f] res=errno:ret dirfd=fd:a0 path=path@a0:s1
getcwd file [f] res=errno:ret path=str:cwd
chdir file [] res=errno:ret path=str:s0
fchdir file [u] res=errno:ret fd=fd:a0
chroot process [] res=errno:ret path=path:s0
mkdir file [] res=errno:ret path=path:s0 mode=hex:a1
mkdirat file [] res=errno:ret dirfd=fd:a0 path=path@a0:s1 mode=hex:a2
rmdir file [] res=errno:ret path=path:s0
unlink file [] res=errno:ret path=path:s0
unlinkat file [] res=errno:ret dirfd=fd:a0 name=path@a0:s1 flags=flags.unlinkat:a2
rename file [] res=errno:ret oldpath=path:s0 newpath=path:s1
renameat file [] res=errno:ret olddirfd=fd:a0 oldpath=path@a0:s1 newdirfd=fd:a2 newpath=path@a2:s3
renameat2 file [] res=errno:ret olddirfd=fd:a0 oldpath=path@a0:s1 newdirfd=fd:a2 newpath=path@a2:s3 flags=flags.renameat2:a4
link file [] res=errno:ret oldpath=path:s0 newpath=path:s1
linkat file [] res=errno:ret olddir=fd:a0 oldpath=path@a0:s1 newdir=fd:a2 newpath=path@a2:s3 flags=flags.linkat:a4
symlink file [] res=errno:ret target=str:s0 linkpath=path:s1
symlinkat file [] res=errno:ret target=str:s0 linkdirfd=fd:a1 linkpath=path@a1:s2
chmod file [] res=errno:ret filename=path:s0 mode=mode:a1
fchmod file [u] res=errno:ret fd=fd:a0 mode=mode:a1
fchmodat file [] res=errno:ret dirfd=fd:a0 filename=path@a0:s1 mode=mode:a2
fchmodat2 file [] res=errno:ret dirfd=fd:a0 filename=path@a0:s1 mode=mode:a2 flags=hex:a3
chown file [] res=errno:ret path=path:s0 uid=uid:a1 gid=gid:a2
lchown file [] res=errno:ret path=path:s0 uid=uid:a1 gid=gid:a2
fchown file [u] res=errno:ret fd=fd:a0 uid=uid:a1 gid=gid:a2
fchownat file [] res=errno:ret dirfd=fd:a0 pathname=path@a0:s1 uid=uid:a2 gid=gid:a3 flags=flags.fchownat:a4
truncate file [] res=errno:ret path=path:s0 length=uint:a1
ftruncate file [u] res=errno:ret fd=fd:a0 length=uint:a1
mknod file [] res=errno:ret path=path:s0 mode=mode:a1 dev=uint:a2
mknodat file [] res=errno:ret dirfd=fd:a0 path=path@a0:s1 mode=mode:a2 dev=uint:a3
utimensat file [] res=errno:ret dirfd=fd:a0 path=path@a0:s1
setxattr file [] res=errno:ret path=path:s0 name=str:s1
lsetxattr file [] res=errno:ret path=path:s0 name=str:s1
fsetxattr file [u] res=errno:ret fd=fd:a0 name=str:s1
removexattr file [] res=errno:ret path=path:s0 name=str:s1
mount file [] res=errno:ret dev=str:s0 dir=path:s1 type=str:s2 flags=flags.mount:a3
umount:oldumount file [] res=errno:ret name=path:s0 flags=flags.umount:
umount2:umount file [] res=errno:ret name=path:s0 flags=flags.umount:a1
pivot_root file [] res=errno:ret newroot=path:s0 putold=path:s1
fsconfig system [u] res=errno:ret fd=fd:a0 cmd=enum.fsconfig:a1 key=str:s2 value_bytebuf=data: value_charbuf=str: aux=dec:a4
move_mount file [] res=errno:ret
open_tree file [c] fd=fd:ret dirfd=fd:a0 path=path@a0:s1
pipe ipc [f] res=errno:ret fd1=fd:pipe0 fd2=fd:pipe1 ino=uint:
pipe2 ipc [f] res=errno:ret fd1=fd:pipe0 fd2=fd:pipe1 ino=uint: flags=flags.open:a1
eventfd ipc [c] res=fd:ret initval=uint:a0 flags=hex:
eventfd2 ipc [c] res=fd:ret flags=flags.open:a1 initval=uint:a0
epoll_create ipc [c] res=fd:ret size=dec:a0
epoll_create1 ipc [c] res=fd:ret flags=flags.epoll:a0
epoll_wait wait [fW] res=errno:ret maxevents=errno:a2
poll wait [fW] res=errno:ret fds=str: timeout=dec:a2
ppoll wait [fW] res=errno:ret fds=str:
select wait [fW] res=errno:ret
pselect6 wait [fW] res=errno:ret
nanosleep sleep [fW] res=errno:ret interval=dec:
clock_nanosleep sleep [fW] res=errno:ret
futex ipc [f] res=errno:ret addr=hex:a0 op=hex:a1 val=uint:a2
signalfd signal [c] res=fd:ret fd=fd:a0 mask=hex: flags=hex:
signalfd4 signal [c] res=fd:ret flags=flags.open:a3 fd=fd:a0 mask=hex:
timerfd_create time [c] res=fd:ret clockid=uint:a0 flags=flags.open:a1
inotify_init ipc [c] res=fd:ret flags=hex:
inotify_init1 ipc [c] res=fd:ret flags=flags.open:a0
inotify_add_watch ipc [u] res=errno:ret fd=fd:a0 path=path:s1 mask=hex:a2
fanotify_init ipc [c] res=fd:ret flags=hex:a0
fanotify_mark ipc [u] res=errno:ret fd=fd:a0
memfd_create memory [c] fd=fd:ret name=str:s0 flags=flags.memfd:a1
pidfd_open process [c] fd=fd:ret pid=pid:a0 flags=flags.pidfd:a1
pidfd_getfd process [c] fd=fd:ret pid_fd=fd:a0 target_fd=dec:a1 flags=uint:a2
pidfd_send_signal signal [u] res=errno:ret fd=fd:a0 sig=sig:a1
userfaultfd file [c] res=errno:ret flags=flags.userfaultfd:a0
bpf other [c] fd=fd:ret cmd=enum.bpf:a0
perf_event_open other [c] fd=fd:ret pid=pid:a1 cpu=dec:a2 flags=hex:a4
io_uring_setup other [c] res=errno:ret entries=uint:a0 sq_entries=uint: cq_entries=uint: flags=flags.iouring: sq_thread_cpu=uint: sq_thread_idle=uint: features=hex:
io_uring_enter io [uf] res=errno:ret fd=fd:a0 to_submit=uint:a1 min_complete=uint:a2 flags=flags.iouringenter:a3 sig=hex:
io_uring_register other [u] res=errno:ret fd=fd:a0 opcode=enum.iouringreg:a1 arg=hex:a2 nr_args=uint:a3
seccomp other [] res=errno:ret op=uint:a0 flags=flags.seccomp:a1
ptrace process [] res=errno:ret addr=hex:a2 data=hex:a3 request=enum.ptrace:a0 pid=pid:a1
process_vm_readv process [] res=errno:ret pid=pid:a0 data=data:
process_vm_writev process [] res=errno:ret pid=pid:a0 data=data:
kill signal [] res=errno:ret pid=pid:a0 sig=sig:a1
tkill signal [] res=errno:ret tid=pid:a0 sig=sig:a1
tgkill signal [] res=errno:ret pid=pid:a0 tid=pid:a1 sig=sig:a2
setuid user [] res=errno:ret uid=uid:a0
setgid user [] res=errno:ret gid=gid:a0
setreuid user [] res=errno:ret ruid=uid:a0 euid=uid:a1
setregid user [] res=errno:ret rgid=uid:a0 egid=uid:a1
setresuid user [] res=errno:ret ruid=uid:a0 euid=uid:a1 suid=uid:a2
setresgid user [] res=errno:ret rgid=gid:a0 egid=gid:a1 sgid=gid:a2
setfsuid user [] res=errno:ret uid=uid:a0
setfsgid user [] res=errno:ret gid=gid:a0
setgroups user [] res=errno:ret
getuid user [f] uid=uid:ret
geteuid user [f] euid=uid:ret
getgid user [f] gid=gid:ret
getegid user [f] egid=gid:ret
getresuid user [f] res=errno:ret ruid=uid: euid=uid: suid=uid:
getresgid user [f] res=errno:ret rgid=gid: egid=gid: sgid=gid:
capset process [] res=errno:ret cap_inheritable=hex:capinh cap_permitted=hex:capprm cap_effective=hex:capeff
setsid process [] res=pid:ret
setpgid process [] res=pid:ret pid=pid:a0 pgid=pid:a1
setns process [u] res=errno:ret fd=fd:a0 nstype=flags.clone:a1
unshare process [] res=errno:ret flags=flags.clone:a0
prctl other [f] res=errno:ret option=enum.prctl:a0 arg2_str=str: arg2_int=dec:a1
arch_prctl other [f] res=errno:ret
setrlimit process [f] res=errno:ret cur=dec: max=dec: resource=enum.rlimit:a0
getrlimit process [f] res=errno:ret cur=dec: max=dec: resource=enum.rlimit:a0
prlimit:prlimit64 process [f] res=errno:ret newcur=dec: newmax=dec: oldcur=dec: oldmax=dec: pid=pid:a0 resource=enum.rlimit:a1
brk memory [f] res=hex:ret vm_size=uint: vm_rss=uint: vm_swap=uint: addr=hex:a0
mmap memory [f] res=hex:ret vm_size=uint: vm_rss=uint: vm_swap=uint: addr=hex:a0 length=uint:a1 prot=flags.prot:a2 flags=flags.mmap:a3 fd=fd:a4 offset=uint:a5
munmap memory [f] res=errno:ret vm_size=uint: vm_rss=uint: vm_swap=uint: addr=hex:a0 length=uint:a1
mprotect memory [f] res=errno:ret addr=hex:a0 length=uint:a1 prot=flags.prot:a2
mlock memory [] res=errno:ret addr=hex:a0 len=uint:a1
mlock2 memory [] res=errno:ret addr=hex:a0 len=uint:a1 flags=flags.mlock2:a2
munlock memory [] res=errno:ret addr=hex:a0 len=uint:a1
mlockall memory [] res=errno:ret flags=flags.mlockall:a0
munlockall memory [] res=errno:ret
init_module other [] res=errno:ret img=data: length=uint:a1 uargs=str:s2
finit_module other [u] res=errno:ret fd=fd:a0 uargs=str:s1 flags=flags.module:a2
delete_module other [] res=errno:ret name=str:s0 flags=flags.delmodule:a1
kexec_load system [] res=errno:ret
kexec_file_load system [] res=errno:ret
reboot system [] res=errno:ret cmd=hex:a2
syslog system [] res=errno:ret type=dec:a0
sethostname system [] res=errno:ret
setdomainname system [] res=errno:ret
settimeofday time [] res=errno:ret
clock_settime time [] res=errno:ret
adjtimex time [] res=errno:ret
swapon system [] res=errno:ret path=path:s0
swapoff system [] res=errno:ret path=path:s0
acct system [] res=errno:ret path=path:s0
quotactl user [] res=errno:ret
semop process [f] res=errno:ret
semget process [f] res=errno:ret key=hex:a0 nsems=dec:a1 semflg=hex:a2
semctl process [f] res=errno:ret semid=dec:a0 semnum=dec:a1 cmd=hex:a2
add_key other [] res=errno:ret
request_key other [] res=errno:ret
keyctl other [] res=errno:ret
personality process [] res=errno:ret
iopl other [] res=errno:ret
ioperm other [] res=errno:ret
modify_ldt other [] res=errno:ret
vmsplice io [f] res=errno:ret
tee io [f] res=errno:ret
sync file [] 
fsync file [uf] res=errno:ret fd=fd:a0
sched_setaffinity process [f] res=errno:ret
procexit process [p] status=errno:status ret=errno:exitcode sig=sig:exitsig core=uint:core
`

// Events returns all types of events, in the order of the table. The result must not be
// changed.
var Events = lazy.Table[[]*Event]{New: func() []*Event {
	var events []*Event
	for _, line := range strings.Split(strings.TrimSpace(eventTable), "\n") {
		words := strings.Fields(line)
		e := &Event{Category: words[1]}
		var other bool
		e.Name, e.Syscall, other = strings.Cut(words[0], ":")
		if !other {
			e.Syscall = e.Name
		}
		for _, c := range words[2] {
			switch c {
			case 'c':
				e.Creates = true
			case 'u':
				e.Uses = true
			case 'r':
				e.Reads = true
			case 'w':
				e.Writes = true
			case 'W':
				e.Waits = true
			case 'f':
				e.Frequent = true
			case 'p':
				e.Syscall = ""
			}
		}
		for _, w := range words[3:] {
			e.Params = append(e.Params, param(w))
		}
		events = append(events, e)
	}
	return events
}}

func param(text string) (p Param) {
	name, rest, _ := strings.Cut(text, "=")
	rest, p.Src, _ = strings.Cut(rest, ":")
	rest, p.Dir, _ = strings.Cut(rest, "@")
	kind, table, _ := strings.Cut(rest, ".")
	p.Name, p.Kind, p.Table = name, kinds.Get()[kind], table
	return p
}

// EventByName returns the types of events by their names. The result must not be changed.
var EventByName = lazy.Table[map[string]*Event]{New: func() map[string]*Event {
	all := map[string]*Event{}
	for _, e := range Events.Get() {
		all[e.Name] = e
	}
	return all
}}

// aliases maps other names of types of events to the names in the table.
var aliases = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"pread64": "pread", "pwrite64": "pwrite", "sendfile64": "sendfile", "prlimit64": "prlimit", "umount1": "umount",
		"fstat64": "fstat", "stat64": "stat", "lstat64": "lstat", "_newselect": "select", "newselect": "select", "fcntl64": "fcntl",
		"fadvise64": "fadvise64", "mmap2": "mmap", "chown32": "chown", "setuid32": "setuid", "setgid32": "setgid", "setresuid32": "setresuid",
		"setresgid32": "setresgid", "getuid32": "getuid", "geteuid32": "geteuid", "getgid32": "getgid", "getegid32": "getegid",
		"send": "sendto", "recv": "recvfrom", "ugetrlimit": "getrlimit", "llseek": "lseek", "_llseek": "lseek",
	}
}}

// silent are types of events that Falco has and that never occur in gotrace.
var silent = []string{
	"switch", "drop", "signaldeliver", "procinfo", "cpu_hotplug", "k8s", "mesos", "tracer", "container", "notification",
	"infra", "page_fault", "pluginevent", "asyncevent", "useradded", "userdeleted", "groupadded", "groupdeleted", "scapevent", "syscall",
}

// Param returns a parameter by its name, or its number from 0 on.
//
//go:noinline
func (e *Event) Param(name string) *Param {
	for i := range e.Params {
		if e.Params[i].Name == name {
			return &e.Params[i]
		}
	}
	return nil
}

// Path returns the first parameter that is a path, or nil.
func (e *Event) Path() *Param {
	for i := range e.Params {
		if e.Params[i].Kind == Path {
			return &e.Params[i]
		}
	}
	return nil
}

// IsOpen reports whether the event opens a file by a path.
//
//go:noinline
func (e *Event) IsOpen() bool {
	switch e.Name {
	case "open", "openat", "openat2", "creat", "open_by_handle_at":
		return true
	}
	return false
}

// IsExec reports whether the event starts a program.
func (e *Event) IsExec() bool { return e.Name == "execve" || e.Name == "execveat" }

// Package procs writes the part of a policy's script that reports how the processes of
// the machine start, change and end. Package runtime/policy/procs keeps a table of
// processes from these reports.
package procs

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// The first value of a report about processes. In reports of policies, it is 0 or more.
const (
	ForkID = -1 - iota // a process is created
	ExecID             // a process runs another program
	ExitID             // a process ends
	NameID             // the main thread of a process gets another name
)

// The values of a report about an exec, in order, after its ID.
const (
	ExecPID       = 1 + iota
	ExecParent    // the ID of the parent process
	ExecStart     // when the process was created, in nanoseconds since boot
	ExecTime      // when it executed the program, in nanoseconds since boot
	ExecComm      // its name
	ExecUID       // effective user ID
	ExecGID       // effective group ID
	ExecLogin     // the user who has logged in; 4294967295: no one
	ExecTTY       // number of the terminal's device; 0: none
	ExecSession   // ID of the session in the initial namespace
	ExecGroup     // ID of the process group in the initial namespace
	ExecVPID      // ID of the process in its own namespace
	ExecVSession  // ID of the session in that namespace
	ExecVGroup    // ID of the process group in that namespace
	ExecCgroup    // ID of the cgroup in the hierarchy of version 2
	ExecInode     // number of the file's inode
	ExecMode      // its type and permissions
	ExecOwner     // user ID of its owner
	ExecOwnGroup  // group ID of the file
	ExecCtime     // when its inode changed, in nanoseconds since 1970
	ExecMtime     // when its data changed, in nanoseconds since 1970
	ExecMemfd     // whether it exists only in memory, created by memfd_create()
	ExecUpper     // whether it is in the upper layer of an overlay file system
	ExecLower     // whether it is only in a lower layer of one
	ExecCaps      // effective capabilities, one bit for each
	ExecPermitted // permitted capabilities
	ExecInherit   // inheritable capabilities
	ExecPIDStart  // when the first process of the PID namespace was created, in nanoseconds since boot
	ExecSpaces    // the first of the numbers of the namespaces; 0 unless Details.Namespaces is set
	// Values without a fixed size are last, because the verifier then needs less time.
	ExecPath = iota + Spaces // path of the file; for a script, path of the interpreter
	ExecArgs                 // the words of the command line, each followed by a NUL
	ExecEnv                  // the environment, in the same form; empty unless Details.Env is set
	ExecCwd                  // the directory that relative paths start from
	ExecFile                 // the path that was passed to the call; with a descriptor, /dev/fd/N or a path below it; empty unless Details.File is set
	execValues
)

// Spaces is the number of namespaces in a report: uts, ipc, mnt, pid, pid for children,
// net, time, time for children, cgroup and user.
const Spaces = 10

// ExecValues is the number of values of a report about an exec, with its ID.
const ExecValues = execValues

// Details selects what is reported.
type Details struct {
	Env        bool // the environment
	Namespaces bool // the numbers of namespaces
	File       bool // the path that was passed to the call
}

// MaxStrlen is the setting max_strlen that the script needs: the largest string that is
// reported, in bytes.
const MaxStrlen = 4096

// Write appends the macros and probes that report processes.
func Write(b *source.Builder, o Details) {
	b.From(source.Span{})
	env := `""`
	if o.Env {
		env = "buf(uptr($t.mm.env_start), $t.mm.env_end - $t.mm.env_start)"
	}
	file := `""`
	if o.File {
		file = "str(args.bprm.filename, 1024)"
	}
	spaces := strings.Repeat(", (uint32)0", Spaces)
	if o.Namespaces {
		spaces = `, $t.nsproxy.uts_ns.ns.inum, $t.nsproxy.ipc_ns.ns.inum, $t.nsproxy.mnt_ns.ns.inum,
    __exec_upid($t.thread_pid, $l).ns.ns.inum, $t.nsproxy.pid_ns_for_children.ns.inum, $t.nsproxy.net_ns.ns.inum,
    $t.nsproxy.time_ns.ns.inum, $t.nsproxy.time_ns_for_children.ns.inum, $t.nsproxy.cgroup_ns.ns.inum, $c.user_ns.ns.inum`
	}
	b.Write(strings.NewReplacer("ENV", env, "FILE", file, ", SPACES", spaces).Replace(script))
}

// script reports processes. An overlay file system keeps the dentry in the upper layer
// right after the inode; 0x794c7630 is the number of its super block.
const script = `
// __exec_upid(p, l) is the ID of a process at a level of namespaces. Before Linux 6.6, the
// array of IDs has one element in its type.
macro __exec_upid(p, l) { ((struct upid *)kptr((uint64)p + offsetof(struct pid, numbers)))[l] }

macro __exec_memfd(f) { strncmp(str(f.f_path.dentry.d_name.name, 8), "memfd:", 6) == 0 }
macro __exec_upper(i)
{
  i.i_sb.s_magic == 0x794c7630 && *(uint64*)kptr((uint64)i + sizeof(struct inode)) != 0
}

macro __exec_lower(i)
{
  i.i_sb.s_magic == 0x794c7630 && *(uint64*)kptr((uint64)i + sizeof(struct inode)) == 0
}

macro __exec_tty(t)
{
  let $tty = t.signal.tty;
  $tty != 0 ? ($tty.driver.major << 20) | ($tty.driver.minor_start + $tty.index) : 0
}

rawtracepoint:sched_process_fork /args.child.pid == args.child.tgid/
{
  report(-1, args.child.tgid, args.child.real_parent.tgid, args.parent.tgid, args.child.start_boottime,
    __exec_upid(args.child.thread_pid, args.child.thread_pid.level).nr);
}

rawtracepoint:sched_process_exec
{
  $t = args.p;
  $f = $t.mm.exe_file;
  $i = $f.f_inode;
  $l = $t.thread_pid.level;
  $c = $t.cred;
  // Before Linux 5.18, the verifier would follow the rest for each combination of these.
  $memfd = __forget((uint64)__exec_memfd($f));
  $upper = __forget((uint64)__exec_upper($i));
  $lower = __forget((uint64)__exec_lower($i));
  $tty = __exec_tty($t);
  report(-2, $t.tgid, $t.real_parent.tgid, $t.group_leader.start_boottime, nsecs, $t.comm,
    $c.euid.val, $c.egid.val, $t.loginuid.val, $tty, $t.signal.pids[3].numbers[0].nr,
    $t.signal.pids[2].numbers[0].nr, __exec_upid($t.signal.pids[1], $l).nr, __exec_upid($t.signal.pids[3], $l).nr,
    __exec_upid($t.signal.pids[2], $l).nr, $t.cgroups.dfl_cgrp.kn.id,
    $i.i_ino, $i.i_mode, $i.i_uid.val, $i.i_gid.val, __exec_ctime($i), __exec_mtime($i), $memfd, $upper, $lower,
    *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_effective)), *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_permitted)), *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_inheritable)),
    $t.nsproxy.pid_ns_for_children.child_reaper.start_boottime, SPACES,
    path($f.f_path, 1024), buf(uptr($t.mm.arg_start), $t.mm.arg_end - $t.mm.arg_start), ENV, path($t.fs.pwd, 1024), FILE);
}

rawtracepoint:sched_process_exit /args.p.signal.live.counter == 0/ 
{
  report(-3, args.p.tgid,
    (args.p.signal.flags & 4) != 0 ? args.p.signal.group_exit_code : args.p.group_leader.exit_code, nsecs);
}

tracepoint:task:task_rename { report(-4, args.pid, args.newcomm); }

macro __exec_ctime(i)
{
  if comptime (has_member(i, "i_ctime_sec")) {
    (uint64)i.i_ctime_sec * 1000000000 + (i.i_ctime_nsec & 0x7fffffff) // since Linux 6.13, the highest bit is a flag
  } else if comptime (has_member(i, "__i_ctime")) {
    (uint64)i.__i_ctime.tv_sec * 1000000000 + i.__i_ctime.tv_nsec
  } else {
    (uint64)i.i_ctime.tv_sec * 1000000000 + i.i_ctime.tv_nsec
  }
}

macro __exec_mtime(i)
{
  if comptime (has_member(i, "i_mtime_sec")) {
    (uint64)i.i_mtime_sec * 1000000000 + i.i_mtime_nsec
  } else if comptime (has_member(i, "__i_mtime")) {
    (uint64)i.__i_mtime.tv_sec * 1000000000 + i.__i_mtime.tv_nsec
  } else {
    (uint64)i.i_mtime.tv_sec * 1000000000 + i.i_mtime.tv_nsec
  }
}
`

package live

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fieldsOf is an event with the values of its fields, in order: fields and values
// alternate.
type fieldsOf struct {
	name, condition string
	values          []any
}

// fieldRules returns a rule for each event, which shows all fields.
func fieldRules(events []fieldsOf) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "- rule: %s\n  desc: d\n  condition: %s\n  priority: INFO\n  output: \"", e.name, e.condition)
		for i := 0; i < len(e.values); i += 2 {
			fmt.Fprintf(&b, "[%s=%%%[1]s]", e.values[i])
		}
		b.WriteString("\"\n")
	}
	return b.String()
}

// fieldAlerts returns the alerts of fieldRules.
func fieldAlerts(events []fieldsOf) (want []string) {
	for _, e := range events {
		text := e.name + ": "
		for i := 0; i < len(e.values); i += 2 {
			text += fmt.Sprintf("[%s=%v]", e.values[i], e.values[i+1])
		}
		want = append(want, text)
	}
	return want
}

// commOf returns the name of a process.
func commOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// argsOf returns the command line of a process.
func argsOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// The kernel of an emulated machine takes long to check the programs of these tests.

// TestFalcoFields checks the fields of a program that starts, as another user and in a
// separate session, and of the processes above it.
func TestFalcoFields(t *testing.T) {
	native(t)
	needRoot(t)
	me, above := os.Getpid(), os.Getppid()
	program, err := filepath.EvalSymlinks("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(program, &st); err != nil {
		t.Fatal(err)
	}
	login, userName, groupName, own := int32(-1), "<NA>", "<NA>", argsOf(t, me)
	if text, err := os.ReadFile("/proc/self/loginuid"); err == nil {
		var n uint32
		if _, err := fmt.Sscan(string(text), &n); err != nil {
			t.Fatal(err)
		}
		login = int32(n)
	}
	if u, err := user.LookupId("1"); err == nil {
		userName = u.Username
	}
	if g, err := user.LookupGroupId("1"); err == nil {
		groupName = g.Name
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/bin/true", Args: []string{"true", "fields", "a b", "-c"}, Dir: "/proc", Env: []string{"A=1", "B=x y"},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 1, Gid: 1}}}
	event := fieldsOf{"exec", fmt.Sprintf("evt.type=execve and proc.ppid=%d and proc.args startswith fields", me), nil}
	fields := func(pid int) []any {
		return []any{
			"evt.type", "execve", "evt.dir", "<", "evt.category", "process", "evt.res", "SUCCESS", "evt.rawres", 0, "evt.failed", false, "evt.source", "syscall",
			"evt.arg.exe", "true", "evt.arg.filename", "/bin/true", "evt.arg.res", 0, "evt.rawarg.uid", 1, "evt.is_open_write", false,
			"proc.name", "true", "proc.exe", "true", "proc.exepath", program, "proc.args", "fields a b -c", "proc.cmdline", "true fields a b -c",
			"proc.exeline", "true fields a b -c", "proc.cmdnargs", 3, "proc.cmdlenargs", 11, "proc.cwd", "/proc/", "proc.env", "A=1 B=x y", "proc.env[B]", "x y",
			"proc.pid", pid, "proc.vpid", pid, "thread.tid", pid, "thread.vtid", pid, "thread.ismain", true, "proc.ppid", me, "proc.pvpid", me, "proc.apid[2]", above,
			"proc.pname", commOf(t, me), "proc.pexe", own[0], "proc.pexepath", exe, "proc.pcmdline", strings.Join(append([]string{commOf(t, me)}, own[1:]...), " "),
			"proc.aname[0]", "true", "proc.aname[1]", commOf(t, me), "proc.aname[2]", commOf(t, above), "proc.aexepath[1]", exe, "proc.aname[99]", "<NA>",
			"proc.tty", 0, "proc.sid", pid, "proc.sname", "true", "proc.sid.exepath", program, "proc.vpgid", pid, "proc.pgid", pid, "proc.vpgid.name", "true",
			"proc.is_sid_leader", true, "proc.is_vpgid_leader", true, "proc.is_exe_writable", false, "proc.is_exe_from_memfd", false,
			"proc.exe_ino", st.Ino, "proc.exe_ino.ctime", st.Ctim.Nano(), "proc.exe_ino.mtime", st.Mtim.Nano(),
			"thread.cap_effective", "", "thread.cap_permitted", "", "user.uid", 1, "user.name", userName, "user.loginuid", login, "group.gid", 1, "group.name", groupName,
			"container.id", "host", "container.name", "host", "container.image.repository", "<NA>", "k8s.ns.name", "<NA>", "fd.name", "<NA>", "fd.num", "<NA>",
		}
	}
	event.values = fields(0)
	checkFalco(t, fieldRules([]fieldsOf{event}), func() []string {
		again := *cmd
		if err := again.Run(); err != nil {
			t.Fatal(err)
		}
		event.values = fields(again.Process.Pid)
		return fieldAlerts([]fieldsOf{event})
	})
}

// TestFalcoFileFields checks the fields of calls with paths and descriptors.
func TestFalcoFileFields(t *testing.T) {
	native(t)
	needRoot(t)
	dir, mine := t.TempDir(), fmt.Sprintf("proc.pid=%d", os.Getpid())
	t.Chdir(dir)
	open := func(num int, ino uint64, dev uint64) []any {
		return []any{"fd.num", num, "fd.name", dir + "/new", "fd.nameraw", "d/../new", "fd.directory", dir, "fd.filename", "new", "fd.type", "file", "fd.typechar", "f",
			"fd.ino", ino, "fd.dev.major", unix.Major(dev), "fd.dev.minor", unix.Minor(dev), "evt.is_open_write", true, "evt.is_open_read", false, "evt.is_open_create", true,
			"evt.is_open_exec", true, "evt.arg.name", dir + "/new", "fs.path.name", dir + "/new", "fs.path.nameraw", "d/../new", "evt.res", "SUCCESS", "evt.rawres", num, "fd.sip", "<NA>"}
	}
	failed := []any{"fd.num", -1, "fd.name", "/nowhere/x", "evt.arg.fd", "ENOENT", "evt.res", "ENOENT", "evt.rawres", -2, "evt.failed", true, "evt.is_open_read", true, "evt.is_open_create", false}
	pair := []any{"fs.path.source", dir + "/new", "fs.path.target", dir + "/two", "fs.path.sourceraw", "new", "fs.path.targetraw", "./two", "fs.path.name", "<NA>", "evt.res", "SUCCESS"}
	one := func(name string) []any {
		return []any{"fs.path.name", dir + "/" + name, "fs.path.nameraw", name, "evt.res", "SUCCESS"}
	}
	events := []fieldsOf{
		{"open", "evt.type=openat and " + mine + " and fd.nameraw=d/../new", open(0, 0, 0)},
		{"failed", "evt.type=openat and " + mine + " and fd.name=/nowhere/x", failed},
		{"mode", "evt.type=fchmodat and " + mine, append(one("new"), "evt.arg.mode", "S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID", "evt.arg.filename", dir+"/new")},
		{"rename", "evt.type=renameat and " + mine, pair},
		{"hard", "evt.type=linkat and " + mine, []any{"evt.arg.oldpath", dir + "/two", "evt.arg.newpath", dir + "/three", "evt.rawarg.newpath", dir + "/d/../three", "fs.path.source", dir + "/three", "fs.path.target", dir + "/two"}},
		{"soft", "evt.type=symlinkat and " + mine, []any{"evt.arg.target", "two", "evt.arg.linkpath", dir + "/four", "fs.path.source", dir + "/four", "fs.path.target", dir + "/two"}},
		{"unlink", "evt.type=unlinkat and " + mine + " and fs.path.nameraw=two", one("two")},
		{"rmdir", "evt.type=unlinkat and " + mine + " and evt.arg.flags=AT_REMOVEDIR", one("d")},
	}
	checkFalco(t, fieldRules(events), func() []string {
		for _, name := range []string{"three", "four"} {
			if err := unix.Unlink(name); err != nil && err != unix.ENOENT {
				t.Error(err)
			}
		}
		if err := unix.Mkdir("d", 0o700); err != nil && err != unix.EEXIST {
			t.Error(err)
		}
		check := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		fd, err := unix.Openat(unix.AT_FDCWD, "d/../new", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o755)
		check(err)
		var st unix.Stat_t
		check(unix.Fstat(fd, &st))
		unix.Close(fd)
		events[0].values = open(fd, st.Ino, st.Dev)
		if _, err := unix.Openat(unix.AT_FDCWD, "/nowhere/x", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != unix.ENOENT {
			t.Error(err)
		}
		check(unix.Fchmodat(unix.AT_FDCWD, "new", 0o4700, 0))
		check(unix.Renameat(unix.AT_FDCWD, "new", unix.AT_FDCWD, "./two"))
		check(unix.Linkat(unix.AT_FDCWD, "two", unix.AT_FDCWD, dir+"/d/../three", 0))
		check(unix.Symlinkat("two", unix.AT_FDCWD, "four"))
		check(unix.Unlinkat(unix.AT_FDCWD, "two", 0))
		check(unix.Unlinkat(unix.AT_FDCWD, "d", unix.AT_REMOVEDIR))
		return fieldAlerts(events)
	})
}

// TestFalcoSocketFields checks the fields of both ends of connections, and of datagrams.
func TestFalcoSocketFields(t *testing.T) {
	native(t)
	needRoot(t)
	mine := fmt.Sprintf(" and proc.pid=%d and fd.sport exists", os.Getpid())
	shown := func(client, server net.Addr, local, remote net.Addr, proto string) []any {
		split := func(a net.Addr) (string, string) {
			host, port, err := net.SplitHostPort(a.String())
			if err != nil {
				t.Fatal(err)
			}
			return host, port
		}
		cip, cport := split(client)
		sip, sport := split(server)
		lip, lport := split(local)
		rip, rport := split(remote)
		kind, char, family := "ipv4", "4", "ip"
		if strings.Contains(cip, ":") {
			kind, char = "ipv6", "6"
		}
		plain := func(ip, port string) string { return ip + ":" + port }
		return []any{"fd.cip", cip, "fd.cport", cport, "fd.sip", sip, "fd.sport", sport, "fd.lip", lip, "fd.lport", lport, "fd.rip", rip, "fd.rport", rport,
			"fd.name", plain(cip, cport) + "->" + plain(sip, sport), "fd.l4proto", proto, "fd.type", kind, "fd.typechar", char, "fd.sockfamily", family, "evt.res", "SUCCESS"}
	}
	none := &net.TCPAddr{IP: net.IPv4zero}
	empty := shown(none, none, none, none, "tcp")
	events := []fieldsOf{
		{"connect", "evt.type=connect and fd.l4proto=tcp and fd.net=127.0.0.0/8 and not evt.rawres<0" + mine, empty},
		{"accept", "evt.type=accept4 and fd.ip=127.0.0.1 and fd.is_server=true" + mine, empty},
		{"connect6", "evt.type=connect and fd.l4proto=tcp and fd.snet=::1/128" + mine, empty},
		{"accept6", "evt.type=accept4 and fd.cnet=::/64" + mine, empty},
		{"datagram", "evt.type=sendto and fd.l4proto=udp and fd.connected=false and fd.name_changed=true and fd.net=127.0.0.0/8" + mine, empty},
	}
	checkFalco(t, fieldRules(events), func() []string {
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		address := func(sa unix.Sockaddr, err error) net.Addr {
			check(err)
			switch sa := sa.(type) {
			case *unix.SockaddrInet4:
				return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
			case *unix.SockaddrInet6:
				return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
			}
			return nil
		}
		for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
			var at unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
			if family == unix.AF_INET6 {
				at = &unix.SockaddrInet6{Addr: [16]byte(net.IPv6loopback)}
			}
			listens, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			check(err)
			check(unix.Bind(listens, at))
			check(unix.Listen(listens, 5))
			client, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			check(err)
			at, err = unix.Getsockname(listens)
			check(err)
			check(unix.Connect(client, at))
			server, _, err := unix.Accept4(listens, unix.SOCK_CLOEXEC)
			check(err)
			from, to := address(unix.Getsockname(client)), address(unix.Getpeername(client))
			events[2*i].values = shown(from, to, from, to, "tcp")
			events[2*i+1].values = shown(from, to, to, from, "tcp")
			for _, fd := range []int{server, client, listens} {
				unix.Close(fd)
			}
		}
		udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		check(err)
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}
		check(unix.Bind(udp, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		check(unix.Sendto(udp, []byte("x"), 0, to))
		check(unix.Sendto(udp, []byte("x"), 0, to)) // the same destination: no change
		from := address(unix.Getsockname(udp))
		events[4].values = shown(from, address(to, nil), from, address(to, nil), "udp")
		unix.Close(udp)
		return fieldAlerts(events)
	})
}

package procs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/procstat"
)

// Seed reads the processes that exist now. Call it once the script's probes are attached
// and before the first report is added, so that no process is missed.
func (t *Table) Seed() {
	d, err := os.Open(t.proc)
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.ParseInt(name, 10, 32); err == nil {
			t.Get(int32(pid))
		}
	}
}

// read reads a process from /proc. It returns nil if it does not exist.
func (t *Table) read(pid int32) *Process {
	dir := filepath.Join(t.proc, strconv.Itoa(int(pid)))
	stat, ok := procstat.Read(dir)
	if !ok {
		return nil
	}
	p := &Process{
		PID: pid, Parent: int32(stat.Int(procstat.Parent)), Comm: stat.Comm, Start: uint64(stat.Int(procstat.Start)) * (1e9 / clockTicks),
		Group: int32(stat.Int(procstat.Group)), Session: int32(stat.Int(procstat.Session)), TTY: kernelDevice(uint32(stat.Int(procstat.TTY))),
		LoginUID: ^uint32(0),
	}
	p.VPID, p.VSession, p.VGroup = p.PID, p.Session, p.Group
	p.readStatus(dir)
	p.Path, _ = os.Readlink(dir + "/exe")
	p.Path = strings.TrimSuffix(p.Path, " (deleted)")
	p.Cwd, _ = os.Readlink(dir + "/cwd")
	p.Args = words(readText(dir + "/cmdline"))
	p.Env = words(readText(dir + "/environ"))
	if n, err := strconv.ParseUint(strings.TrimSpace(readText(dir+"/loginuid")), 10, 32); err == nil {
		p.LoginUID = uint32(n)
	}
	var st unix.Stat_t
	if p.Path != "" && unix.Stat(dir+"/exe", &st) == nil {
		p.File = File{Inode: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid,
			Ctime: uint64(st.Ctim.Nano()), Mtime: uint64(st.Mtim.Nano()), Memfd: strings.HasPrefix(p.Path, "/memfd:")}
	}
	if p.File.Memfd {
		p.Path = p.Path[1:]
	}
	return p
}

// clockTicks is the number of units per second of times in /proc. It is the same on all
// machines.
const clockTicks = 100

// readStatus sets the values in /proc/PID/status: IDs, capabilities and IDs in
// namespaces.
func (p *Process) readStatus(dir string) {
	for _, line := range strings.Split(readText(dir+"/status"), "\n") {
		key, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if len(f) == 0 {
			continue
		}
		last, _ := strconv.ParseInt(f[len(f)-1], 10, 32)
		set, _ := strconv.ParseUint(f[0], 16, 64)
		switch key {
		case "Uid", "Gid":
			if len(f) > 1 {
				id, _ := strconv.ParseUint(f[1], 10, 32)
				if key == "Uid" {
					p.UID = uint32(id)
				} else {
					p.GID = uint32(id)
				}
			}
		case "NSpid":
			p.VPID = int32(last)
		case "NSpgid":
			p.VGroup = int32(last)
		case "NSsid":
			p.VSession = int32(last)
		case "CapEff":
			p.Caps = set
		case "CapPrm":
			p.Permitted = set
		case "CapInh":
			p.Inheritable = set
		}
	}
}

// parentNow returns the parent that a process has now.
func (t *Table) parentNow(p *Process) (int32, bool) {
	stat, ok := procstat.Read(filepath.Join(t.proc, strconv.Itoa(int(p.PID))))
	if !ok {
		return 0, false
	}
	return int32(stat.Int(procstat.Parent)), true
}

// kernelDevice converts the device number that programs see to the kernel's internal
// number.
func kernelDevice(dev uint32) uint32 {
	if dev == 0 {
		return 0
	}
	return uint32(unix.Major(uint64(dev)))<<20 | uint32(unix.Minor(uint64(dev)))
}

// maxText is the maximum size of a file of /proc that is read, in bytes.
const maxText = 64 << 10

func readText(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, 0, 4096)
	for len(buf) < maxText {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 || err != nil {
			break
		}
	}
	return string(buf)
}

// bootTime returns when the machine started, in nanoseconds since 1970.
func bootTime() int64 {
	var wall, boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &wall) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return wall.Nano() - boot.Nano()
}

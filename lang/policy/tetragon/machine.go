package tetragon

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gotrace/gotrace/runtime/procstat"
)

// Machine describes the properties of the machine, other than its kernel, that policies need.
type Machine struct {
	// Namespaces has the numbers of the namespaces of process 1, by their names in
	// /proc/PID/ns.
	Namespaces map[string]uint64
	// Failable lists the kernel functions that programs may make fail, in addition to the
	// security hooks.
	Failable map[string]bool
	// Measures is set if the kernel shows the hashes of files that it has measured.
	Measures bool
	// Containers returns the running containers that are described by files of their
	// runtime. It is nil if containers are not needed.
	Containers func() []*Container
	// First is the path of the program of process 1.
	First string
	// Way has the IDs of the processes above gotrace, such as the shell.
	Way []string
	// Doors are the paths of programs that let the user in: those of process 1 and
	// of the processes in Way, and the servers of SSH.
	Doors []string
	// Programs returns the paths of the programs that the processes run, by their IDs. It
	// is nil if they are not known.
	Programs func() map[int]string
}

// Measurements is the file with the hashes of the files that the kernel has measured.
const Measurements = "/sys/kernel/security/ima/ascii_runtime_measurements"

// ThisMachine returns the facts about this machine. If a namespace cannot be read, its
// number is that of the initial namespace.
func ThisMachine() *Machine {
	m := &Machine{Namespaces: InitialNamespaces(), Failable: map[string]bool{}, Containers: containers, Programs: programs}
	m.First, _ = os.Readlink("/proc/1/exe")
	m.Doors = []string{m.First, "/usr/sbin/sshd", "/usr/lib/openssh/sshd-session"}
	for pid := strconv.Itoa(os.Getppid()); pid > "1"; {
		m.Way = append(m.Way, pid)
		path, _ := os.Readlink("/proc/" + pid + "/exe")
		m.Doors = append(m.Doors, path)
		stat, ok := procstat.Read("/proc/" + pid)
		if pid = ""; ok {
			pid = stat.Text(procstat.Parent)
		}
	}
	if _, err := os.Stat(Measurements); err == nil {
		m.Measures = true
	}
	for _, ns := range namespaces {
		name := strings.TrimSuffix(ns.proc, "_for_children")
		if st, err := os.Stat("/proc/1/ns/" + name); err == nil {
			m.Namespaces[ns.proc] = st.Sys().(*syscall.Stat_t).Ino
		}
	}
	text, _ := os.ReadFile("/sys/kernel/debug/error_injection/list")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 {
			m.Failable[f[0]] = true
		}
	}
	return m
}

// isDoor reports whether one of the programs that let the user in has a path, or a path
// with this prefix or postfix.
func (m *Machine) isDoor(op, path string) bool {
	return slices.ContainsFunc(m.Doors, func(door string) bool {
		return door == path || op == "Prefix" && strings.HasPrefix(door, path) || op == "Postfix" && strings.HasSuffix(door, path)
	})
}

// InitialNamespaces returns the numbers of the initial namespaces.
func InitialNamespaces() map[string]uint64 {
	m := map[string]uint64{}
	for _, ns := range namespaces {
		m[ns.proc] = ns.initial
	}
	return m
}

// programs returns the paths of the programs that the processes of this machine run.
func programs() map[int]string {
	m := map[int]string{}
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if path, err := os.Readlink("/proc/" + d.Name() + "/exe"); err == nil {
			m[pid] = strings.TrimSuffix(path, deleted)
		}
	}
	return m
}

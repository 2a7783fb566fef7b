package runtime

import (
	"os"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime/procstat"
)

// commands caches the command lines of processes, which may end before they are printed.
type commands struct {
	lines map[process]string
	known map[uint32]process // those of the last survey
}

// process is a process by its ID and the time at which it started, in the units of /proc.
type process struct{ pid, start uint32 }

// maxCommands is the maximum number of command lines.
const maxCommands = 1 << 16

// CommandLine implements builtins.Names.
func (n *names) CommandLine(pid, start uint32) string {
	if now := n.readCommand(pid); now.pid == 0 || now.start != start {
		n.commands.known[pid] = process{} // read it again at the next survey
	}
	return n.commands.lines[process{pid, start}]
}

// readCommand stores the command line of a process. It returns the zero process if there
// is none.
func (n *names) readCommand(pid uint32) process {
	c := &n.commands
	if c.lines == nil || len(c.lines) > maxCommands {
		c.lines, c.known = map[process]string{}, map[uint32]process{}
	}
	dir := n.proc + "/" + strconv.FormatUint(uint64(pid), 10)
	stat, ok := procstat.Read(dir)
	line, err := os.ReadFile(dir + "/cmdline")
	if !ok || err != nil {
		return process{}
	}
	p := process{pid, uint32(stat.Int(procstat.Start))}
	c.lines[p] = strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")
	return p
}

// surveyCommands reads the command lines of new processes if the script shows command
// lines.
func (s *Instance) surveyCommands() {
	if !s.usesCommands {
		return
	}
	n := &s.env.names
	dirs, err := os.ReadDir(n.proc)
	if err != nil {
		return
	}
	known := map[uint32]process{}
	for _, d := range dirs {
		id, err := strconv.ParseUint(d.Name(), 10, 32)
		if err != nil {
			continue
		}
		pid := uint32(id)
		if known[pid] = n.commands.known[pid]; known[pid].pid == 0 {
			known[pid] = n.readCommand(pid)
		}
	}
	n.commands.known = known
}

func ofProcess(d *builtins.Def) bool { return d.OfProcess }

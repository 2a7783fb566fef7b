// Package procstat reads /proc/PID/stat, the kernel's line about a process or a thread.
package procstat

import (
	"os"
	"strconv"
	"strings"
)

// Fields of the line, by their numbers in proc_pid_stat(5).
const (
	State   = 3
	Parent  = 4
	Group   = 5
	Session = 6
	TTY     = 7
	Start   = 22 // in units of 1/100 s since the machine started
)

// first is the number of the first field after the name.
const first = 3

// Stat is the content of a line.
type Stat struct {
	Comm   string
	fields []string // those after the name
}

// Read reads the line in a directory such as /proc/1. ok is false if there is none.
func Read(dir string) (s Stat, ok bool) {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return s, false
	}
	return parse(string(text))
}

// parse splits a line. The name is in parentheses and may contain any bytes, so it ends at
// the last parenthesis.
func parse(line string) (s Stat, ok bool) {
	from, to := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if from < 0 || to < from {
		return s, false
	}
	s = Stat{line[from+1 : to], strings.Fields(line[to+1:])}
	return s, len(s.fields) > Start-first
}

// Text returns a field.
func (s *Stat) Text(field int) string { return s.fields[field-first] }

// Int returns a field that is a number.
//
//go:noinline
func (s *Stat) Int(field int) int64 {
	n, _ := strconv.ParseInt(s.Text(field), 10, 64) // the kernel writes only numbers there
	return n
}

package runtime

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// libraries attaches programs at functions of libraries, such as uprobe:libssl:SSL_write,
// to all other files of these libraries: in containers, which have separate root
// directories, and in other directories. A file is found when a process has mapped it as
// code. The kernel attaches to processes that map it later.
type libraries struct {
	s     *Instance
	files *fileWatch
	progs []*object.Program            // with points in libraries
	names []string                     // of the libraries
	seen  map[string]*probes.CodeFiles // by library
	links []attached
	left  []string // files that could not be attached to, for the user
}

// startLibraries attaches to the libraries of all processes, and starts to wait for other
// processes that map them.
func (s *Instance) startLibraries() {
	l := &libraries{s: s, seen: map[string]*probes.CodeFiles{}}
	for _, p := range s.obj.Programs {
		if s.progs[p.Name] == nil || !slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Library != "" }) {
			continue
		}
		l.progs = append(l.progs, p)
		for _, at := range p.Points {
			if at.Library == "" {
				continue
			}
			if !slices.Contains(l.names, at.Library) {
				l.names = append(l.names, at.Library)
				l.seen[at.Library] = &probes.CodeFiles{}
			}
			l.seen[at.Library].Mark(at.File)
		}
	}
	if len(l.progs) == 0 || s.opt.DryRun || s.opt.PID != 0 && s.family == nil {
		return
	}
	pid := allProcesses
	if c := s.opt.Child; c != nil && s.family == nil {
		pid = c.PID()
	}
	l.files = s.newFileWatch(pid, l.mapped)
	if c := s.opt.Child; c != nil {
		for _, path := range filesOfProgram(c.cmd.Args[1]) {
			l.mapped(c.PID(), symbols.Mapping{Path: path})
		}
	}
	if pid == allProcesses {
		l.files.survey()
	}
	s.libraries = l
	l.files.follow()
}

// mapped attaches to a file that a process has mapped, if it is one of the libraries.
func (l *libraries) mapped(pid int, m symbols.Mapping) {
	path := strings.TrimSuffix(m.Path, " (deleted)")
	for _, name := range l.names {
		if !binary.IsLibrary(name, path) {
			continue
		}
		// The path is that of the process in the kernel's log, and that of this process
		// in the list of mappings. Files that were deleted or replaced are only in
		// map_files.
		m.Path = path
		for _, file := range l.files.pathsOf(pid, m) {
			if isMapped(file, m.Inode) {
				l.found(pid, name, file, path)
				break
			}
		}
	}
}

// isMapped reports whether a file has the inode of a mapping. On an overlay that may be
// the inode of the file below.
func isMapped(file, inode string) bool {
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	return inode == "" || inode == strconv.FormatUint(st.Ino, 10) || probes.OnOverlay(file)
}

// found attaches to a file that a process has mapped, unless that was done. path is the
// file's path in the process.
func (l *libraries) found(pid int, name, file, path string) {
	f := l.seen[name].Open(path, file)
	if f == nil {
		return
	}
	defer f.Close()
	before := len(l.links)
	// Of several programs at an instruction, the last one that is attached runs first.
	for _, p := range slices.Backward(l.progs) {
		l.attach(p, name, f)
	}
	if l.s.opt.Verbose && len(l.links) > before {
		fmt.Fprintf(l.s.opt.Stderr, "Attached to the library %s of process %d\n", path, pid)
	}
}

// attach attaches a program to its points of the library with a name, in another file.
func (l *libraries) attach(p *object.Program, name string, f *probes.CodeFile) {
	s := l.s
	points := slices.DeleteFunc(pointers(p.Points), func(at *object.Point) bool { return at.Library != name })
	if len(points) == 0 {
		return
	}
	ps, left := probes.Elsewhere(s.at, points, f)
	for _, why := range left {
		l.leave(f.Name, why)
	}
	if len(ps) == 0 {
		return
	}
	err := s.linkAll(s.progs[p.Name], ps, func(link io.Closer, _ *object.Point) error {
		l.links = append(l.links, attached{link, nil, p})
		return nil
	}, func(_ *object.Point, err error) error { return err })
	if err != nil {
		l.leave(f.Name, reasonOf(err))
		return
	}
	// The kernel runs the last program first.
	s.fetchAt(p, ps, func(a attached) { l.links = append(l.links, a) })
}

// leave records why a file is not traced, once.
func (l *libraries) leave(path, why string) {
	if text := path + " in another root or directory is not traced, as " + why + ": name the file, or a process with -p"; !slices.Contains(l.left, text) {
		l.left = append(l.left, text)
	}
}

// endLibraries stops attaching and adds the links to those of the session. It reports
// the files that could not be attached to.
func (s *Instance) endLibraries() {
	l := s.libraries
	if l == nil {
		return
	}
	s.libraries = nil
	l.files.close(s.warnings())
	s.links = append(s.links, l.links...)
	if s.opt.NoWarnings {
		return
	}
	const most = 5
	for i, text := range l.left {
		if i == most {
			fmt.Fprintf(s.opt.Stderr, "WARNING: %d more files of libraries are not traced\n", len(l.left)-most)
			break
		}
		fmt.Fprintf(s.opt.Stderr, "WARNING: %s\n", text)
	}
}

package runtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// libraries attaches the programs at functions of libraries, such as those of
// uprobe:libssl:SSL_write, to all other files that are these libraries: those of
// containers, which have roots of their own, and those in other directories. A file is
// found when a process has mapped it as code. The kernel attaches to processes that map
// it later.
type libraries struct {
	s     *Session
	proc  string
	progs []*object.Program // with points in libraries
	names []string          // of the libraries
	seen  map[libraryFile]bool
	same  map[libraryCopy]overlays
	links []attached
	left  []string // what could not be attached, for the user
	log   *mmapLog
	stop  chan struct{}
	done  chan struct{}
}

// libraryFile identifies a file, in one mount of its file system, as the library with a
// name.
type libraryFile struct {
	name       string
	dev, inode uint64
}

// libraryCopy identifies a file wherever its file system is mounted. Overlays show files
// of the layers below with the inode of these but with another device.
type libraryCopy struct {
	name     string
	inode    uint64
	size     int64
	modified int64 // ns since the epoch
}

// overlays tells whether a file with the same libraryCopy was seen on an overlay, and on
// another file system.
type overlays struct{ on, off bool }

// startLibraries attaches to the libraries of all processes, and starts to wait for other
// processes that map them.
func (s *Session) startLibraries() {
	l := &libraries{s: s, proc: s.procRoot(), seen: map[libraryFile]bool{}, same: map[libraryCopy]overlays{}, stop: make(chan struct{}), done: make(chan struct{})}
	for _, p := range s.obj.Programs {
		if s.progs[p.Name] == nil || !slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Library != "" }) {
			continue
		}
		l.progs = append(l.progs, p)
		for _, at := range p.Points {
			if at.Library == "" {
				continue
			}
			l.isNew(at.Library, at.File)
			if !slices.Contains(l.names, at.Library) {
				l.names = append(l.names, at.Library)
			}
		}
	}
	if len(l.progs) == 0 || s.opt.DryRun || s.opt.PID != 0 && s.family == nil {
		return
	}
	pid := allProcesses
	if c := s.opt.Child; c != nil && s.family == nil {
		pid = c.PID()
	}
	l.log, _ = openMmapLog(pid, 0, unix.PerfBitWatermark, 1)
	if c := s.opt.Child; c != nil {
		for _, path := range filesOfProgram(c.cmd.Args[1]) {
			l.Mapped(c.PID(), symbols.Mapping{Path: path})
		}
	}
	if pid == allProcesses {
		l.survey()
	}
	s.libraries = l
	go l.follow()
}

// survey looks for the libraries in all processes.
func (l *libraries) survey() {
	all, _ := filepath.Glob(filepath.Join(l.proc, "[0-9]*"))
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		for _, m := range symbols.Executable(l.proc, pid) {
			l.Mapped(pid, m)
		}
	}
}

// follow waits for processes that map the libraries.
func (l *libraries) follow() {
	defer close(l.done)
	for l.log != nil {
		l.log.wait(tick)
		select {
		case <-l.stop:
			return
		default:
		}
		l.log.drain(l)
		time.Sleep(pause / 2) // so that many processes that start do not keep a CPU busy
	}
}

// Mapped attaches to a file that a process has mapped, if it is one of the libraries.
func (l *libraries) Mapped(pid int, m symbols.Mapping) {
	for _, name := range l.names {
		if !binary.IsLibrary(name, m.Path) {
			continue
		}
		// The path is that of the process in the kernel's log, and that of this process in
		// the list of mappings. What was deleted is in map_files only.
		path := strings.TrimSuffix(m.Path, " (deleted)")
		dir := filepath.Join(l.proc, strconv.Itoa(pid))
		for _, file := range []string{filepath.Join(dir, "root", path), path, fmt.Sprintf("%s/map_files/%x-%x", dir, m.Start, m.End)} {
			if isMapped(file, m.Inode) {
				l.found(name, file, path)
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
	return inode == "" || inode == strconv.FormatUint(st.Ino, 10) || onOverlay(file)
}

func onOverlay(file string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(file, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// Forked, Executed and Ended do nothing: what a process maps is all that matters.
func (l *libraries) Forked(int, int) {}
func (l *libraries) Executed(int)    {}
func (l *libraries) Ended(int)       {}

// isNew reports whether a file was not seen before as the library with a name, and notes
// that it was.
func (l *libraries) isNew(name, path string) bool {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return false
	}
	file, id := libraryFile{name, st.Dev, st.Ino}, libraryCopy{name, st.Ino, st.Size, st.Mtim.Nano()}
	over := onOverlay(path)
	like := l.same[id]
	known := l.seen[file] || like.on || over && like.off
	l.seen[file], l.same[id] = true, overlays{like.on || over, like.off || !over}
	return !known
}

// found attaches to a file, unless that was done. path is that of the process.
func (l *libraries) found(name, file, path string) {
	if !l.isNew(name, file) {
		return
	}
	before := len(l.links)
	for _, p := range l.progs {
		l.attach(p, name, file, path)
	}
	if l.s.opt.Verbose && len(l.links) > before {
		fmt.Fprintf(l.s.opt.Stderr, "Attached to the library %s\n", file)
	}
}

// attach attaches a program to its points of the library with a name, in another file.
// path is that of the process.
func (l *libraries) attach(p *object.Program, name, file, path string) {
	s := l.s
	points := slices.DeleteFunc(pointers(p.Points), func(at *object.Point) bool { return at.Library != name })
	if s.joined[p] || len(points) == 0 {
		return // of two that are joined, the other program is at the same points
	}
	ps, left, err := probes.Elsewhere(s.at, points, file)
	if err != nil {
		return // the process has ended, or the file is not ELF
	}
	for _, why := range left {
		l.leave(path, why)
	}
	if len(ps) == 0 {
		return
	}
	if err := l.link(p, p, ps); err != nil {
		l.leave(path, reason(err).Error())
		return
	}
	// The kernel runs the last program first.
	for _, f := range s.obj.Fetchers {
		if s.obj.Programs[f.For] == p {
			if err := l.link(p, f.Program, ps); err != nil {
				s.noFetcher(f.Program.Name, err)
			}
		}
	}
}

// link attaches what, which is p or its fetcher, to points.
func (l *libraries) link(p, what *object.Program, ps []*object.Point) error {
	s := l.s
	prog, kind := s.progs[what.Name], s.kind(ps[0])
	if prog == nil {
		return nil
	}
	if p.Partner != nil && what == p && s.joined[s.obj.Programs[p.Partner.Program]] {
		c, err := kind.AttachSession(s.at, prog, ps)
		if err == nil {
			l.links = append(l.links, attached{c, nil, p})
		}
		return err
	}
	if kind.AttachMany != nil && len(ps) > 1 {
		if c, err := kind.AttachMany(s.at, prog, ps); err == nil {
			l.links = append(l.links, attached{c, nil, what})
			return nil
		}
	}
	for _, at := range ps {
		c, err := kind.Attach(s.at, prog, at)
		if err != nil {
			return err
		}
		l.links = append(l.links, attached{c, nil, what})
	}
	return nil
}

// leave records why a file is not traced, once.
func (l *libraries) leave(path, why string) {
	if text := path + " of another root or directory is not traced: " + why; !slices.Contains(l.left, text) {
		l.left = append(l.left, text)
	}
}

// endLibraries stops attaching and adds the links to those of the session. It reports
// the files that could not be attached to.
func (s *Session) endLibraries() {
	l := s.libraries
	if l == nil {
		return
	}
	s.libraries = nil
	close(l.stop)
	<-l.done
	if l.log != nil {
		l.log.close()
	}
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

package unwind

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// builder builds tables of files in the queue, one after the other.
type builder struct {
	most uint64 // maximum size in bytes of the code of a file that it builds
	wake chan struct{}
}

// smallFile is the maximum size in bytes of the code of files that do not wait for larger
// files.
const smallFile = 1 << 20

// maxFirst is the maximum number of segments of the first round of a file.
const maxFirst = 1000

// build runs a builder until the tables are closed.
func (t *Tables) build(w builder) {
	defer t.stopped.Done()
	for {
		t.mu.Lock()
		f := t.next(w.most)
		t.mu.Unlock()
		if f == nil {
			select {
			case <-w.wake:
				continue
			case <-t.stop:
				return
			}
		}
		select {
		case <-t.stop:
			return
		default:
		}
		t.attend(f)
	}
}

// buildFile builds the tables of a file. It records in calls when it waits for the file
// system.
func (t *Tables) buildFile(f *file, calls *answers) {
	began := time.Now()
	calls.begin()
	from, info, err := t.open(f)
	calls.end()
	if err != nil {
		// The processes may have ended, though the log does not say so yet. The next
		// one that maps the file may last longer.
		t.mu.Lock()
		f.failed = time.Now()
		t.stats.Failed++
		if len(f.users) == 0 && !f.retired {
			delete(t.files, f.key)
		}
		t.mu.Unlock()
		return
	}
	defer from.Close()
	r := watched{from, calls}
	size := int64(0)
	if info != nil {
		size = info.Size()
		t.mu.Lock()
		f.version, f.checked = versionOf(info), time.Now()
		t.mu.Unlock()
	}
	if build := contents(r); build != "" {
		t.mu.Lock()
		f.build = build
		if same := t.byBuild[build]; same != nil && same != f && same.ready && !t.closed() {
			f.same, f.ready = same, true
			t.stats.Shared++
			t.show(f)
			t.flush()
			t.mu.Unlock()
			return
		}
		t.byBuild[build] = f
		t.mu.Unlock()
	}
	kind, gap := NoTable, uint64(maxGap)
	// Following code without tables takes long. Until that is done, programs use the
	// tables that the file has.
	frames, err := cfi.ReadFile(r, func(own *cfi.File) { t.finishFirst(f, own) }, t.golang)
	switch {
	case errors.Is(err, cfi.ErrArch):
		kind = NoTable
	case frames == nil: // not an ELF file: generated code in a file
		kind = FramePointer
	case frames.Go: // for code without rows
		kind, gap = FramePointer, padding
	}
	var list []draft
	if frames != nil {
		list = drafts(frames, gap)
	}
	t.finish(f, kind, frames, list, err)
	took := time.Since(began)
	t.mu.Lock()
	t.stats.Total += took
	if took > t.stats.Longest {
		t.stats.Longest, t.stats.LongestFileSize = took, size
	}
	t.mu.Unlock()
}

// finishFirst makes the tables that the file contains available to programs. Other tables
// of the file follow later. Until then, code without rows is pending, so segments end where
// it begins, unless there would be too many of them.
func (t *Tables) finishFirst(f *file, frames *cfi.File) {
	list := drafts(frames, padding)
	if len(list) > maxFirst {
		list = drafts(frames, maxGap)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed() {
		return
	}
	f.following = true
	t.store(f, Pending, frames, list)
}

// finish stores the segments of a file and makes them available to programs.
func (t *Tables) finish(f *file, kind int, frames *cfi.File, list []draft, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed() { // the memory may be gone
		return
	}
	t.stats.Files++
	if err != nil {
		t.stats.Failed++
	}
	f.early, f.segs, f.following = f.segs, nil, false
	t.store(f, kind, frames, list)
	for _, other := range t.files {
		if other.same == f {
			t.show(other)
		}
	}
	t.flush()
}

// store stores the segments of a file, and makes them available to the programs.
func (t *Tables) store(f *file, kind int, frames *cfi.File, list []draft) {
	f.kind, f.ready = kind, true
	for i := range list {
		d := &list[i]
		b, mem, err := t.alloc(d.size())
		if err != nil {
			f.kind = NoRoom
			t.stats.NoRoom++
			break
		}
		d.encode(mem, b.off, func(n uint16) uint16 { return t.rule(frames.Rules[n]) })
		f.segs = append(f.segs, segment{origin: d.start, start: d.from, end: d.end, block: b})
		t.stats.Rows += len(d.rules) + len(d.pages)
	}
	t.show(f)
	t.flush()
}

// show marks a file as changed, so that Flush publishes it to the programs.
func (t *Tables) show(f *file) {
	old := f.list
	f.list = block{}
	if t.publishFile(f); f.list.size == 0 {
		f.list = old
	} else if old.size > 0 {
		t.memory.release(old)
	}
	for p := range f.users {
		t.mark(p)
	}
}

// readMemory reads a part of a process's memory. The part is an ELF file that the
// kernel mapped there.
func readMemory(dir string, start, end uint64) (opened, error) {
	const most = 1 << 20
	mem, err := os.Open(filepath.Join(dir, "mem"))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	b := make([]byte, min(end-start, most))
	if _, err := mem.ReadAt(b, int64(start)); err != nil {
		return nil, err
	}
	return memFile{bytes.NewReader(b)}, nil
}

// contents returns a text that identifies the tables of an ELF file: the build ID of the
// linker and, because some build IDs were chosen by hand, the positions of its parts. It
// returns "" for a file without a build ID.
func contents(r io.ReaderAt) string {
	e, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	id := buildID(e)
	if id == "" {
		return ""
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD || p.Type == elf.PT_GNU_EH_FRAME {
			id += fmt.Sprint(" ", p.Off, p.Vaddr, p.Filesz)
		}
	}
	return id
}

// buildID returns the build ID of an ELF file, or "".
func buildID(e *elf.File) string {
	for _, p := range e.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<16 {
			continue
		}
		notes, err := io.ReadAll(p.Open())
		if err != nil {
			continue
		}
		for len(notes) >= 12 {
			name, desc := e.ByteOrder.Uint32(notes), e.ByteOrder.Uint32(notes[4:])
			kind := e.ByteOrder.Uint32(notes[8:])
			at := 12 + (uint64(name)+3)&^3
			end := at + (uint64(desc)+3)&^3
			if end > uint64(len(notes)) {
				break
			}
			if kind == 3 && bytes.HasPrefix(notes[12:], []byte("GNU\x00")) {
				return string(notes[at : at+uint64(desc)])
			}
			notes = notes[end:]
		}
	}
	return ""
}

var errGone = errors.New("no process maps the file any more")

type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }

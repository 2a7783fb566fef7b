package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	gort "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// Load loads an object's maps and programs into the kernel. It does not run any
// program.
func Load(obj *object.Object, opt Setup) (*Instance, error) {
	if opt.Stderr == nil {
		opt.Stderr = io.Discard
	}
	if opt.Kernel == nil {
		opt.Kernel = kernel.Live()
	}
	if opt.Defs == nil {
		opt.Defs = builtins.NewRegistry(builtins.All())
	}
	s := &Instance{
		obj: obj, opt: opt, defs: opt.Defs,
		at: &probes.Env{Kernel: opt.Kernel, Types: btf.NewCache(), FuncNames: &sync.Map{}}, kinds: map[string]*probes.Kind{},
		maps: map[string]*ebpf.Map{}, progs: map[string]*ebpf.Program{},
		byName: map[string]*object.Map{}, readers: map[*object.Map]store.Reader{},
		attachments: attachments{attachedTo: map[counted]bool{}, missed: map[*object.Program]uint64{}, joined: map[*object.Program]bool{}},
		ending:      newEnding(), done: make(chan struct{}),
	}
	s.opt.Sink = openSink{opt.Sink, s}
	for _, k := range probes.Kinds() {
		s.kinds[k.Name] = k
	}
	if err := s.load(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Instance) load() error {
	err := store.Check(s.obj)
	if err != nil {
		return err
	}
	if err = s.defs.Accept(s.obj); err != nil {
		return err
	}
	if s.ncpu, err = ebpf.PossibleCPU(); err != nil {
		return err
	}
	if !s.opt.Kernel.Has(probes.FeatMemcg) {
		// On such kernels maps count against the limit of locked memory. Ignore an
		// error: if the limit matters, creating a map fails.
		unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited)
	}
	if err = allowFiles(s.obj); err != nil {
		return err
	}
	for _, p := range s.obj.Programs {
		for i := range p.Points {
			if s.kind(&p.Points[i]) == nil {
				return outline.Errorf("bug: program %s has a probe of kind %q", p.Name, p.Points[i].Kind)
			}
		}
	}
	for i := range s.obj.Maps {
		s.byName[s.obj.Maps[i].Name] = &s.obj.Maps[i]
	}
	s.events, s.handlers = slices.Clone(s.obj.Events), make([]handler, len(s.obj.Events))
	for i, e := range s.obj.Events {
		if e.Call != nil {
			s.handlers[i].handle = s.handleCall
			continue
		}
		d := s.defs.Lookup(e.Def)
		s.handlers[i] = handler{handle: d.Handle, outside: d.Outside}
		if s.handlers[i].later, err = compileLater(&e.Later); err != nil {
			return err
		}
	}
	cfg := &s.obj.Settings
	s.syms = symbols.NewUser(symbols.View{
		ProcRoot:  s.procRoot(),
		Demangle:  cfg.CPPDemangle,
		Cache:     symbols.CacheMode(cfg.CacheUserSymbols),
		Debug:     cfg.ShowDebugInfo || s.opt.Profiles,
		DebugDirs: s.opt.DebugDirs,
		Fetch:     s.opt.FetchDebug,
		InUse:     s.processesInUse,
	})
	s.env = newEnv(s)
	if err := s.loadMaps(); err != nil {
		return err
	}
	if err := s.openMaps(); err != nil {
		return err
	}
	if !s.opt.DryRun { // The verifier takes some time. Build the unwind tables meanwhile.
		if err := s.startUnwinding(); err != nil {
			return err
		}
	}
	if err := s.loadPrograms(); err != nil {
		return err
	}
	if err := s.loadFamily(); err != nil {
		return err
	}
	s.awaitTables()
	return nil
}

func (s *Instance) procRoot() string {
	if s.opt.ProcRoot != "" {
		return s.opt.ProcRoot
	}
	return "/proc"
}

const mmapable = unix.BPF_F_MMAPABLE

func (s *Instance) loadMaps() error {
	s.opt.Progress.Begin("Creating maps", len(s.obj.Kernel))
	for i := range s.obj.Kernel {
		s.opt.Progress.Add(1)
		spec := s.obj.Kernel[i].Spec()
		name := spec.Name
		switch name {
		case object.RingMap:
			spec.MaxEntries = uint32(s.ringSize())
		case object.SiteMap, object.FollowMap, object.FollowStateMap: // used through mapped memory
			spec.Flags |= mmapable
		case object.SessionMap:
			spec.Contents = []ebpf.MapKV{{Key: uint32(0), Value: sessionWords()}}
		}
		if name == object.RecorderMap {
			if err := fits(spec); err != nil {
				return err
			}
		}
		if spec.Type == ebpf.StackTrace {
			s.limitStacks(spec)
		}
		m, err := ebpf.NewMap(spec)
		if err != nil {
			return s.mapError(name, spec, err)
		}
		s.maps[name] = m
		if s.obj.Kernel[i].Frozen {
			if err := m.Freeze(); err != nil {
				return outline.Errorf("cannot freeze map %s: %w", name, err)
			}
		}
		switch name {
		case object.CgroupMap:
			if err := s.fillCgroups(m); err != nil {
				return err
			}
		case object.RingMap:
			if s.ring, err = ringbuf.NewReader(m); err != nil {
				return outline.Errorf("cannot read the ring buffer: %w", err)
			}
		case object.SiteMap:
			mem, err := m.Memory()
			if err != nil {
				return outline.Errorf("cannot map the memory of %s: %w", name, err)
			}
			s.sites = newSiteTable(s.obj, s.byName, mem)
		}
	}
	return s.openRecorder()
}

// limitStacks makes the entries of a stack map no larger than the kernel allows. The
// kernel's functions that read a stack have the same limit.
func (s *Instance) limitStacks(spec *ebpf.MapSpec) {
	const setting = "kernel/perf_event_max_stack"
	text, err := os.ReadFile("/proc/sys/" + setting)
	if err != nil {
		return
	}
	most, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if want := spec.ValueSize / 8; err == nil && most > 0 && uint64(want) > most {
		spec.ValueSize = 8 * uint32(most)
		fmt.Fprintf(s.opt.Stderr, "WARNING: stacks have at most %d frames, not %d: that is the limit in /proc/sys/%s\n", most, want, setting)
	}
}

// openMaps opens the script's maps for reading.
func (s *Instance) openMaps() error {
	s.kernel = &store.Kernel{Maps: s.maps, Programs: s.progs, CPUs: s.ncpu, Merge: func(t *types.Type) func(t *types.Type, dst, src []byte) {
		if d := s.defs.ForType(t.Name); d != nil {
			return d.Merge
		}
		return nil
	}}
	for i := range s.obj.Maps {
		m := &s.obj.Maps[i]
		r, err := s.kernel.Open(m)
		if err != nil {
			return err
		}
		s.readers[m] = r
	}
	s.keepStacks()
	return nil
}

// mapError returns an error that names the script's map that could not be created.
func (s *Instance) mapError(kernel string, spec *ebpf.MapSpec, err error) error {
	name, ours := "of gotrace's own, "+kernel, true
	var at source.Span
	for _, m := range s.obj.Maps {
		if (m.Kernel == kernel || m.Short == kernel) && (m.Key != nil || m.Part > 0) {
			name, at, ours = m.Name, m.Span, false
		}
	}
	d := source.Diag{Span: at, Msg: fmt.Sprintf("cannot create map %s (%s, %d entries of %d+%d bytes): %v",
		name, spec.Type, spec.MaxEntries, spec.KeySize, spec.ValueSize, reason(err))}
	if errors.Is(err, unix.EPERM) {
		d.Hint = "gotrace --info shows what this process may not do, and why"
	}
	if !ours && (errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.E2BIG) || errors.Is(err, unix.EINVAL)) {
		d.Hint = "a smaller max_map_keys, or fewer entries in the map's declaration, takes less memory"
	}
	return source.DiagError{d}
}

// loadPrograms loads all programs, several at a time. Most of the time is spent in
// the verifier, which checks programs independently.
func (s *Instance) loadPrograms() error {
	progs := slices.Clone(s.obj.Programs)
	for i := range s.obj.Maps {
		progs = append(progs, s.obj.Maps[i].Programs...)
	}
	for _, d := range s.obj.Dispatchers {
		progs = append(progs, d.Program)
	}
	fetchers := map[*object.Program]bool{}
	for _, f := range s.obj.Fetchers {
		progs = append(progs, f.Program)
		fetchers[f.Program] = true
	}
	loaded := make([]*ebpf.Program, len(progs))
	errs := make([]error, len(progs))
	next := make(chan int)
	var wg sync.WaitGroup
	s.opt.Progress.Begin("Loading programs", len(progs))
	for range min(gort.GOMAXPROCS(0), len(progs)) {
		wg.Go(func() {
			for i := range next {
				loaded[i], errs[i] = s.loadProgram(progs[i])
				s.opt.Progress.Add(1)
			}
		})
	}
	for i := range progs {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, p := range loaded {
		if p != nil {
			s.progs[progs[i].Name] = p
			if s.opt.VerifierLog != nil {
				s.opt.VerifierLog(progs[i].Name, p.VerifierLog)
			}
			if s.opt.Verified != nil {
				s.opt.Verified(progs[i].Name, processed(p.VerifierLog))
			}
		}
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		if fetchers[progs[i]] {
			s.noFetcher(progs[i].Name, err)
			continue
		}
		if p := progs[i]; len(p.Points) == 1 && p.Points[0].Matched && pointRefused(err) {
			err = s.notAttached(&p.Points[0], p.Points[0].Name, errors.New(refusal(err)))
			if err == nil {
				continue
			}
			return err
		}
		return s.loadError(progs[i], err)
	}
	return nil
}

// pointRefused reports whether the kernel refused a program because of its attach
// point, before it verified any instruction.
func pointRefused(err error) bool {
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) {
		return false
	}
	insn, _ := rejection(ve.Log)
	return insn < 0
}

// refusal returns the reason that the kernel gave.
func refusal(err error) string {
	var ve *ebpf.VerifierError
	errors.As(err, &ve)
	_, why := rejection(ve.Log)
	return why
}

// loadProgram loads a program. Its instructions refer to maps by name.
func (s *Instance) loadProgram(p *object.Program) (*ebpf.Program, error) {
	spec := p.Spec()
	if p.AttachProg != 0 {
		target, err := ebpf.NewProgramFromID(p.AttachProg)
		if err != nil {
			return nil, err
		}
		defer target.Close()
		spec.AttachTarget = target
	}
	for i := range spec.Instructions {
		ins := &spec.Instructions[i]
		if !ins.IsLoadFromMap() {
			continue
		}
		m := s.maps[ins.Reference()]
		if m == nil {
			return nil, outline.Errorf("bug: program %s refers to map %q", spec.Name, ins.Reference())
		}
		if err := ins.AssociateMap(m); err != nil {
			return nil, err
		}
	}
	opt := ebpf.ProgramOptions{LogSizeStart: uint32(max(s.obj.Settings.LogSize, 0))}
	switch {
	case s.opt.VerifierLog != nil:
		opt.LogLevel = ebpf.LogLevelInstruction | ebpf.LogLevelStats // without LogLevelInstruction the log of an accepted program is discarded
	case s.opt.Verified != nil:
		opt.LogLevel = ebpf.LogLevelStats
	}
	return s.at.LoadProgram(spec, opt)
}

// loadError returns a diagnostic at the source line that the verifier stopped at.
func (s *Instance) loadError(p *object.Program, err error) error {
	point := p.Name
	if len(p.Points) > 0 {
		point = p.Points[0].Name
	}
	if errors.Is(err, unix.EMFILE) {
		return fewFiles(s.obj, p.Span, "cannot load "+point)
	}
	if errors.Is(err, unix.EFAULT) {
		// The verifier follows each iteration of a loop and keeps a list of the
		// branches it has still to follow, at most 8192.
		return source.DiagError{{Span: p.Span, Msg: fmt.Sprintf("the kernel's verifier stops at %s: it has more than 8192 branches in a row, and the branches of a loop count once for each iteration", point),
			Hint: "see " + verifierDoc + "#too-many-branches: split the probe in two, use fewer iterations, or use a range, which Linux 5.17 and later run without following each iteration"}}
	}
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) || len(ve.Log) == 0 {
		d := source.Diag{Span: p.Span, Msg: fmt.Sprintf("cannot load %s: %v", point, reason(err))}
		if len(p.Points) > 0 && errors.Is(err, unix.EPERM) {
			d.Msg = fmt.Sprintf("cannot load %s: %s", point, s.kind(&p.Points[0]).NoPermission())
		}
		return source.DiagError{d}
	}
	if s.opt.VerifierLog != nil {
		s.opt.VerifierLog(p.Name, strings.Join(ve.Log, "\n"))
	} else if s.opt.Verbose {
		w := bufio.NewWriter(s.opt.Stderr)
		fmt.Fprintf(w, "The verifier's log of %s:\n", point)
		for _, line := range ve.Log {
			fmt.Fprintln(w, line)
		}
		w.Flush()
	}
	n, why := rejection(ve.Log)
	d := source.Diag{Span: p.Span, Msg: fmt.Sprintf("the kernel's verifier refuses %s: %s", point, why)}
	if r := explained(s.opt.Defs.All(), ve.Log, n, why); r != nil {
		d.Msg, d.Hint = fmt.Sprintf("cannot load %s: %s", point, r.Msg), r.Hint
	} else if words, hint, section := inWords(why); words != "" {
		d.Msg = fmt.Sprintf("the kernel's verifier refuses %s: %s (%s)", point, words, why)
		d.Hint = "see " + section
		if hint != "" {
			d.Hint = hint + "; " + d.Hint
		}
	} else if !s.opt.Verbose && s.opt.VerifierLog == nil {
		d.Hint = "-v shows the verifier's log"
	}
	if at := p.LineAt(n); at.IsValid() {
		d.Span = at
	}
	return source.DiagError{d}
}

// explained returns a builtin's explanation of why the verifier refused instruction
// insn, or nil if no builtin explains it. why is the verifier's reason.
func explained(defs []*builtins.Def, log []string, insn int, why string) *builtins.Refusal {
	text := why
	for _, line := range slices.Backward(log) {
		if strings.HasPrefix(strings.TrimSpace(line), fmt.Sprintf("%d: (", insn)) {
			text += line
			break
		}
	}
	for _, d := range defs {
		for i, r := range d.Refusals {
			if strings.Contains(text, r.Helper) && slices.ContainsFunc(r.Why, func(part string) bool { return strings.Contains(why, part) }) {
				return &d.Refusals[i]
			}
		}
	}
	return nil
}

// rejection finds the last instruction that a verifier log names and the reason
// that follows it.
func rejection(log []string) (insn int, why string) {
	insn = -1
	for _, line := range slices.Backward(log) {
		num, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && strings.HasPrefix(strings.TrimSpace(rest), "(") {
			if n, err := strconv.Atoi(num); err == nil {
				// This is the only reason on the same line as the instruction.
				if strings.Contains(rest, "infinite loop detected") {
					why = "infinite loop detected"
				}
				insn = n
				break
			}
		}
		if text := strings.TrimSpace(line); text != "" && !isStatistic(text) {
			why = text // the reason is the first line after the instruction
		}
	}
	if why == "" {
		why = "no reason given"
	}
	return insn, why
}

// processed returns the number of instructions that a verifier log says were
// processed.
func processed(log string) (n int) {
	if i := strings.LastIndex(log, "processed "); i >= 0 {
		fmt.Sscanf(log[i:], "processed %d insns", &n)
	}
	return n
}

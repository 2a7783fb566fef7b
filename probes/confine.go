package probes

// Confinement is the effect of -p on the programs of a kind.
type Confinement uint8

const (
	// ByTask: programs run only if the current task belongs to the process. This is
	// the default.
	ByTask Confinement = iota
	// ByObject: the kind's Context decides, by the objects that are iterated over.
	ByObject
	// NotAsked: the probe is not related to a process (begin, interval …), and users
	// do not expect -p to have an effect.
	NotAsked
	// NoTask: what the probe sees belongs to no process, so -p has no effect.
	NoTask
)

// NewContext returns the context of a program at p. If -p was given, the program is
// confined to that process.
func NewContext(e *Env, p *Point) (*Context, error) {
	c, err := p.Kind.Context(e, p)
	if err != nil || e.PID == 0 {
		return c, err
	}
	switch p.Kind.Confine {
	case ByTask:
		c.Only.PID = e.PID
	case NoTask:
		c.Only.Unconfined = "-p has no effect on " + p.Kind.Name + " probes: what they see belongs to no process"
	}
	return c, nil
}

package plan

import (
	"fmt"
	"strings"
)

// String is the plan in words, one line per action, in their order.
func (p Plan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, x := range p.Pull {
		line("get the image of %s, because %s", x.Name, x.Reason)
	}
	for i, stage := range p.Stop {
		for _, s := range stage {
			line("stop %s (%s) in stage %d with %s grace, because %s; tell %q", s.Name, s.ID, i+1, s.Grace, s.Reason, s.Event)
		}
	}
	for _, id := range p.StopSandboxes {
		line("stop sandbox %s", id)
	}
	if s := p.Sandbox; s != nil {
		line("make sandbox, attempt %d, because %s", s.Attempt, s.Reason)
	}
	for _, s := range p.Start {
		line("start %s in %s as run %d, because %s", s.Name, s.SandboxID, s.RestartCount, s.Reason)
	}
	for _, id := range p.Remove {
		line("remove %s", id)
	}
	for _, id := range p.RemoveSandboxes {
		line("remove sandbox %s", id)
	}
	for _, w := range p.Waiting {
		line("%s waits: %s: %s", w.Name, w.Reason, w.Message)
	}
	if p.Finished {
		line("the pod is finished")
	}
	if p.Done {
		line("nothing runs any more")
	}
	return b.String()
}

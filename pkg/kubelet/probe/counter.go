package probe

import corev1 "k8s.io/api/core/v1"

// counter turns answers into a result that needs several of the same kind in a row to change.
type counter struct {
	result     bool
	last       bool
	inARow     int32
	toSucceed  int32
	toFail     int32
	hasAnswers bool
}

func newCounter(p *corev1.Probe, first bool) *counter {
	return &counter{result: first, toSucceed: max(1, p.SuccessThreshold), toFail: max(1, p.FailureThreshold)}
}

// add takes one answer; turned tells that the threshold for it was reached now.
func (c *counter) add(ok bool) (turned bool) {
	if c.hasAnswers && c.last == ok {
		c.inARow++
	} else {
		c.inARow = 1
	}
	c.hasAnswers, c.last = true, ok
	need := c.toFail
	if ok {
		need = c.toSucceed
	}
	if c.inARow < need {
		return false
	}
	turned = c.result != ok || c.inARow == need
	c.result = ok
	return turned
}

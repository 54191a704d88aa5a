package apiserver

import (
	"encoding/json"
	"errors"
	"net/http"

	"bonsai/pkg/apiserver/audit"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// audit is the step that writes down what becomes of requests; there is none if there is no policy, so that nobody pays for it.
func (s *Server) audit() step {
	if s.cfg.Audit == nil {
		return nil
	}
	return s.audited
}

// audited writes down what becomes of the request, if the policy asks for that.
func (s *Server) audited(c *call, next handler) (err error) {
	c.record, err = s.cfg.Audit.Begin(c.r, c.t.attributes(c.user), c.auditID, c.start)
	if err != nil {
		return &internalError{uri: c.r.URL.RequestURI(), err: err}
	}
	s.lap(c, s.identity.steps.audit)
	if c.record == nil {
		return next(c)
	}
	c.r = c.r.WithContext(audit.WithRecord(c.ctx(), c.record))
	if c.t.longRunning() {
		c.w.started = c.record.Started
	}
	defer func() {
		if p := recover(); p != nil {
			c.record.Panicked(p)
			panic(p)
		}
		if err != nil && c.w.status == 0 {
			s.recordFailure(c, err)
		}
		s.recordLatencies(c)
		c.record.Complete(c.w.status)
	}()
	return next(c)
}

// recordFailure notes an error, which is answered only after all steps of the chain.
func (s *Server) recordFailure(c *call, err error) {
	status := statusOf(err)
	c.record.Status(status)
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if c.record.WantsResponse() {
		c.record.Response(compactJSON(status))
	}
	if c.t.longRunning() {
		c.record.Started(int(status.Code))
	}
}

// auditRefusal writes down a request that was refused before anybody knew who made it.
func (s *Server) auditRefusal(c *call, err error) {
	if s.cfg.Audit == nil {
		return
	}
	s.cfg.Audit.Refused(c.r, c.t.attributes(c.user), c.auditID, c.start, statusOf(err))
}

// recordRequest notes the object that the request brings.
func (c *call) recordRequest(gvk schema.GroupVersionKind, obj runtime.Object) {
	if c.record == nil {
		return
	}
	if o, ok := obj.(metav1.Object); ok {
		c.record.Object(o)
	}
	if !c.record.WantsRequest() {
		return
	}
	if b, err := encodeAs(format{media: mediaJSON}, gvk, obj); err == nil { // what was just decoded can be encoded
		c.record.Request(b, false)
	}
}

// recordResponse notes the object that is the answer, which encode makes the JSON of.
func (c *call) recordResponse(encode func() ([]byte, error)) {
	if !c.record.WantsResponse() {
		return
	}
	if b, err := encode(); err == nil { // otherwise the answer itself fails in the same way
		c.record.Response(b)
	}
}

// recordObject notes the object obj that is the answer.
func (c *call) recordObject(gvk schema.GroupVersionKind, obj runtime.Object) {
	if status, ok := obj.(*metav1.Status); ok {
		c.record.Status(status)
	}
	c.recordResponse(func() ([]byte, error) { return encodeAs(format{media: mediaJSON}, gvk, obj) })
}

// start tells, once, that the answer begins.
func (w *recorder) start(code int) {
	if w.started != nil && w.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.started(code)
		w.started = nil
	}
}

// recordDecision notes what the authorizers said.
func (c *call) recordDecision(reason string, err error) {
	var failed *internalError
	switch {
	case errors.As(err, &failed): // which is no decision
	case err != nil:
		c.record.Annotate("authorization.k8s.io/decision", "forbid")
	default:
		c.record.Annotate("authorization.k8s.io/decision", "allow")
	}
	c.record.Annotate("authorization.k8s.io/reason", reason)
}

// recordPatch notes a patch, as JSON.
func (c *call) recordPatch(kind types.PatchType, patch []byte) {
	if kind == types.ApplyYAMLPatchType {
		if checkAliases(patch) != nil {
			return // which refuses it as well
		}
		var err error
		if patch, err = yaml.YAMLToJSON(patch); err != nil {
			return
		}
	}
	if json.Valid(patch) {
		c.record.Request(patch, true)
	}
}

// internalDeleteOptions is the type by which upstream records DeleteOptions, whatever version of them the client has sent.
var internalDeleteOptions = schema.GroupVersion{Group: metav1.GroupName, Version: runtime.APIVersionInternal}.WithKind("DeleteOptions")

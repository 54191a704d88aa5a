package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"bonsai/pkg/apiserver/auth"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Auditor makes the records of requests.
type Auditor struct {
	Policy *Policy
	Sinks  []*Sink
	Now    func() time.Time
	Logger *slog.Logger
	Counts *Metrics // may be nil
}

// Record is what is known of one request so far. Requests that the policy does not ask about have none: then it is nil.
type Record struct {
	auditor *Auditor
	decision
	ctx context.Context // of the request, without its end: what has happened is written down in any case

	mu      sync.Mutex // admission plugins annotate from several goroutines
	event   auditv1.Event
	started bool
}

// Begin starts the record of a request, and writes that it was received. An error means that it is not to go on.
func (a *Auditor) Begin(r *http.Request, asked auth.Request, auditID string, received time.Time) (*Record, error) {
	rec := a.record(r, asked, auditID, received)
	if err := rec.write(auditv1.StageRequestReceived); err != nil {
		a.Counts.Rejected()
		return rec, errors.New("failed to store audit event")
	}
	return rec, nil
}

// Refused records a request of which nobody knows who made it: one event, once the answer has begun.
func (a *Auditor) Refused(r *http.Request, asked auth.Request, auditID string, received time.Time, status *metav1.Status) {
	rec := a.record(r, asked, auditID, received)
	if rec == nil {
		return
	}
	rec.Status(status)
	if rec.WantsResponse() {
		body := *status
		body.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		if b, err := json.Marshal(body); err == nil { // a Status always can be
			rec.Response(b)
		}
	}
	_ = rec.write(auditv1.StageResponseStarted) // it is refused anyway
}

func (a *Auditor) record(r *http.Request, asked auth.Request, auditID string, received time.Time) *Record {
	d := a.Policy.decide(asked)
	a.Counts.level(d.level)
	if d.level == auditv1.LevelNone {
		return nil
	}
	rec := &Record{auditor: a, decision: d, ctx: context.WithoutCancel(r.Context())}
	rec.event = auditv1.Event{
		TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: auditv1.SchemeGroupVersion.String()},
		Level:    d.level, AuditID: types.UID(auditID), RequestURI: r.URL.RequestURI(), Verb: asked.Verb,
		User: asked.User.Info(), UserAgent: agentOf(r), SourceIPs: sourcesOf(r),
		RequestReceivedTimestamp: metav1.NewMicroTime(received),
	}
	if asked.User.Remarks != nil {
		rec.event.Annotations = maps.Clone(asked.User.Remarks.Audit)
	}
	if asked.IsResource {
		rec.event.ObjectRef = &auditv1.ObjectReference{Resource: asked.Resource, Namespace: asked.Namespace, Name: asked.Name,
			APIGroup: asked.Group, APIVersion: asked.Version, Subresource: asked.Subresource}
	}
	return rec
}

// maxAgent is how much of what a client says it is goes into a record.
const maxAgent = 1024

func agentOf(r *http.Request) string {
	agent := r.UserAgent()
	if len(agent) > maxAgent {
		return agent[:maxAgent] + "...TRUNCATED"
	}
	return agent
}

func sourcesOf(r *http.Request) []string {
	var out []string
	for _, ip := range utilnet.SourceIPs(r) {
		out = append(out, ip.String())
	}
	return out
}

// Impersonated notes who the user is acting as, and by which mode of impersonation; the old one has no name.
func (r *Record) Impersonated(u auth.User, mode string) {
	if r == nil {
		return
	}
	info := u.Info()
	r.event.ImpersonatedUser = &info
	if mode != "" {
		r.event.AuthenticationMetadata = &auditv1.AuthenticationMetadata{ImpersonationConstraint: "impersonate:" + mode}
	}
}

// Annotate notes what a part of the server found out about the request. The first to speak under a key is right.
func (r *Record) Annotate(key, value string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.event.Annotations[key]; ok {
		if old != value {
			r.auditor.Logger.Warn("audit annotation said twice", "auditID", r.event.AuditID, "key", key, "first", old, "then", value)
		}
		return
	}
	if r.event.Annotations == nil {
		r.event.Annotations = map[string]string{}
	}
	r.event.Annotations[key] = value
}

// Object notes which object a request brings, where its URL does not say.
func (r *Record) Object(o metav1.Object) {
	if r == nil || r.event.ObjectRef == nil {
		return
	}
	ref := r.event.ObjectRef
	for _, f := range []struct {
		field *string
		value string
	}{{&ref.Namespace, o.GetNamespace()}, {&ref.Name, o.GetName()}, {(*string)(&ref.UID), string(o.GetUID())}, {&ref.ResourceVersion, o.GetResourceVersion()}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
}

// WantsRequest says whether the object that a request brings is to be recorded.
func (r *Record) WantsRequest() bool {
	return r != nil && (r.level == auditv1.LevelRequest || r.level == auditv1.LevelRequestResponse)
}

// WantsResponse says whether the answer's object is to be recorded.
func (r *Record) WantsResponse() bool { return r != nil && r.level == auditv1.LevelRequestResponse }

// Request records the object that a request brings, as JSON; a patch, which is no object, as it is.
func (r *Record) Request(object []byte, patch bool) {
	if !r.WantsRequest() {
		return
	}
	if r.omitManagedFields && !patch {
		object = withoutManagedFields(object)
	}
	r.event.RequestObject = &runtime.Unknown{Raw: object, ContentType: runtime.ContentTypeJSON}
}

// Response records the answer's object, as JSON.
func (r *Record) Response(object []byte) {
	if !r.WantsResponse() {
		return
	}
	if r.omitManagedFields {
		object = withoutManagedFields(object)
	}
	r.event.ResponseObject = &runtime.Unknown{Raw: object, ContentType: runtime.ContentTypeJSON}
}

// Status notes the status that is the answer.
func (r *Record) Status(s *metav1.Status) {
	if r == nil {
		return
	}
	r.event.ResponseStatus = &metav1.Status{Status: s.Status, Message: s.Message, Reason: s.Reason, Details: s.Details, Code: s.Code}
}

// code notes the answer's code.
func (r *Record) code(code int) {
	if r.event.ResponseStatus == nil {
		r.event.ResponseStatus = &metav1.Status{}
	}
	r.event.ResponseStatus.Code = int32(code)
}

// Started writes that the answer of a request that goes on for long has begun.
func (r *Record) Started(code int) {
	if r == nil || r.started {
		return
	}
	r.started = true
	r.code(code)
	_ = r.write(auditv1.StageResponseStarted) // too late for anything but the log, which has it
}

// Complete writes that the answer is complete; code is 0 if there was none.
func (r *Record) Complete(code int) {
	if r == nil {
		return
	}
	switch {
	case code != 0:
		r.code(code)
	case r.event.ResponseStatus == nil:
		r.event.ResponseStatus = &metav1.Status{Code: http.StatusOK, Status: metav1.StatusSuccess, Message: "Connection closed early"}
	}
	_ = r.write(auditv1.StageResponseComplete) // as above
}

// Panicked writes that the server failed over the request.
func (r *Record) Panicked(reason any) {
	if r == nil {
		return
	}
	r.Status(&metav1.Status{Code: http.StatusInternalServerError, Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError,
		Message: fmt.Sprintf("APIServer panic'd: %v", reason)})
	_ = r.write(auditv1.StagePanic) // as above
}

func (r *Record) write(s auditv1.Stage) error {
	if r == nil || r.omits(s) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event.Stage = s
	r.event.StageTimestamp = metav1.NewMicroTime(r.auditor.Now())
	if s == auditv1.StageRequestReceived {
		r.event.StageTimestamp = r.event.RequestReceivedTimestamp
	}
	r.auditor.Counts.event()
	var failed error
	for _, sink := range r.auditor.Sinks {
		failed = errors.Join(failed, sink.Write(r.ctx, &r.event))
	}
	return failed
}

type recordKey struct{}

// WithRecord returns a context by which Annotate finds r.
func WithRecord(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// Annotate notes something about the request that ctx belongs to, if it is recorded.
func Annotate(ctx context.Context, key, value string) {
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		r.Annotate(key, value)
	}
}

package resource

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// eventTTL is how long etcd keeps an event.
const eventTTL = time.Hour

// events is the one row with versions in two groups: events.k8s.io/v1 is the newer form of the same objects, with
// other names for some fields and stricter rules for what comes through it.
func events() *Row {
	newer := servedAs[eventsv1.Event, eventsv1.EventList](eventsv1.SchemeGroupVersion)
	newer.ToStorage, newer.FromStorage = eventToCore, eventFromCore
	newer.Validate = func(o Object) field.ErrorList {
		return append(eventReporter(o.(*corev1.Event), "reportingController"), validateNewerEvent(o.(*corev1.Event))...)
	}
	newer.ValidateUpdate = twoErrs(func(next, old *corev1.Event) field.ErrorList {
		return append(eventReporter(next, "reportingController"), validateNewerEventUpdate(next, old)...)
	})
	newer.FieldNames = newerEventFields
	older := servedAs[corev1.Event, corev1.EventList](corev1.SchemeGroupVersion)
	older.Validate = func(o Object) field.ErrorList { return eventReporter(o.(*corev1.Event), "reportingComponent") }
	older.ValidateUpdate = twoErrs(func(next, _ *corev1.Event) field.ErrorList { return eventReporter(next, "reportingComponent") })
	return Row{
		Resource: "events", Singular: "event", Kind: "Event",
		ShortNames:     []string{"ev"},
		Namespaced:     true,
		Versions:       []Version{older, newer},
		Prefix:         "events",
		Columns:        eventColumns(),
		TTL:            func(Object) time.Duration { return eventTTL },
		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.Event]{
		Validate:       validateEvent,
		ValidateUpdate: func(next, _ *corev1.Event) field.ErrorList { return validateEvent(next) },
		Fields:         eventFields,
		Cells:          eventCells,
	}))
}

func eventFields(e *corev1.Event) map[string]string {
	o, source := e.InvolvedObject, e.Source.Component
	or(&source, e.ReportingController)
	return map[string]string{
		"involvedObject.kind":            o.Kind,
		"involvedObject.namespace":       o.Namespace,
		"involvedObject.name":            o.Name,
		"involvedObject.uid":             string(o.UID),
		"involvedObject.apiVersion":      o.APIVersion,
		"involvedObject.resourceVersion": o.ResourceVersion,
		"involvedObject.fieldPath":       o.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

// newerEventFields are the names that events.k8s.io has for the same fields.
var newerEventFields = map[string]string{
	"regarding.kind":            "involvedObject.kind",
	"regarding.namespace":       "involvedObject.namespace",
	"regarding.name":            "involvedObject.name",
	"regarding.uid":             "involvedObject.uid",
	"regarding.apiVersion":      "involvedObject.apiVersion",
	"regarding.resourceVersion": "involvedObject.resourceVersion",
	"regarding.fieldPath":       "involvedObject.fieldPath",
	"reason":                    "reason",
	"reportingController":       "reportingComponent",
	"type":                      "type",
}

func eventToCore(o Object) (Object, error) {
	e := o.(*eventsv1.Event)
	core := &corev1.Event{
		ObjectMeta:          e.ObjectMeta,
		InvolvedObject:      e.Regarding,
		Reason:              e.Reason,
		Message:             e.Note,
		Source:              e.DeprecatedSource,
		FirstTimestamp:      e.DeprecatedFirstTimestamp,
		LastTimestamp:       e.DeprecatedLastTimestamp,
		Count:               e.DeprecatedCount,
		Type:                e.Type,
		EventTime:           e.EventTime,
		Action:              e.Action,
		Related:             e.Related,
		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
	}
	if s := e.Series; s != nil {
		core.Series = &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return core, nil
}

func eventFromCore(o Object) (Object, error) {
	core := o.(*corev1.Event)
	e := &eventsv1.Event{
		ObjectMeta:               core.ObjectMeta,
		EventTime:                core.EventTime,
		ReportingController:      core.ReportingController,
		ReportingInstance:        core.ReportingInstance,
		Action:                   core.Action,
		Reason:                   core.Reason,
		Regarding:                core.InvolvedObject,
		Related:                  core.Related,
		Note:                     core.Message,
		Type:                     core.Type,
		DeprecatedSource:         core.Source,
		DeprecatedFirstTimestamp: core.FirstTimestamp,
		DeprecatedLastTimestamp:  core.LastTimestamp,
		DeprecatedCount:          core.Count,
	}
	if s := core.Series; s != nil {
		e.Series = &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return e, nil
}

func eventColumns() []metav1.TableColumnDefinition {
	event, object := corev1.Event{}.SwaggerDoc(), corev1.ObjectReference{}.SwaggerDoc()
	name := nameColumn
	name.Priority = 1
	return []metav1.TableColumnDefinition{
		column("Last Seen", event["lastTimestamp"]),
		column("Type", event["type"]),
		column("Reason", event["reason"]),
		column("Object", event["involvedObject"]),
		wide("Subobject", object["fieldPath"]),
		wide("Source", event["source"]),
		column("Message", event["message"]),
		wide("First Seen", event["firstTimestamp"]),
		wide("Count", event["count"]),
		name,
	}
}

func eventCells(e *corev1.Event, now time.Time) []any {
	first := since(e.FirstTimestamp, now)
	if e.FirstTimestamp.IsZero() {
		first = sinceMicro(e.EventTime, now)
	}
	last, count := first, e.Count
	if !e.LastTimestamp.IsZero() {
		last = since(e.LastTimestamp, now)
	}
	if e.Series != nil {
		last, count = sinceMicro(e.Series.LastObservedTime, now), e.Series.Count
	}
	// What happened once has no count in the newer form.
	or(&count, 1)
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{
		last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, eventSource(e),
		strings.TrimSpace(e.Message), first, int64(count), e.Name,
	}
}

func eventSource(e *corev1.Event) string {
	component, host := e.Source.Component, e.Source.Host
	or(&component, e.ReportingController)
	or(&host, e.ReportingInstance)
	if host == "" {
		return component
	}
	return component + ", " + host
}

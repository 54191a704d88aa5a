package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
)

// The words that Columns and Cells are written in. kubectl prints what the server sends, so the words here are what people read.

// Columns that most kinds begin and end with.
var (
	metaDoc    = metav1.ObjectMeta{}.SwaggerDoc()
	nameColumn = metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metaDoc["name"]}
	ageColumn  = column("Age", metaDoc["creationTimestamp"])
	// createdAtColumn is the only one that kinds without columns of their own have.
	createdAtColumn = metav1.TableColumnDefinition{Name: "Created At", Type: "date", Description: metaDoc["creationTimestamp"]}
)

// column is one that kubectl get always shows.
func column(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// wide is a column for kubectl get -o wide.
func wide(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description, Priority: 1}
}

// integer makes c a column of numbers.
func integer(c metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	c.Type = "integer"
	return c
}

// boolean makes c a column of true and false.
func boolean(c metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	c.Type = "boolean"
	return c
}

// age is how long ago an object was made, in kubectl's words.
func age(obj Object, now time.Time) string { return since(obj.GetCreationTimestamp(), now) }

// createdAt is when an object was made.
func createdAt(obj Object) string { return obj.GetCreationTimestamp().UTC().Format(time.RFC3339) }

// since is the time from t to now in kubectl's words.
func since(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// sinceMicro is since for a MicroTime.
func sinceMicro(t metav1.MicroTime, now time.Time) string {
	return since(metav1.Time(t), now)
}

// selectorText is a map of labels as kubectl prints it.
func selectorText(set map[string]string) string {
	if len(set) == 0 {
		return "<none>"
	}
	return labels.FormatLabels(set)
}

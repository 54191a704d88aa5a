package audit

import "encoding/json"

// withoutManagedFields takes the managed fields out of an object in JSON, out of the items of a list, and out of the objects in the
// rows of a table. What is not as expected stays as it is.
func withoutManagedFields(object []byte) []byte {
	var o map[string]json.RawMessage
	if json.Unmarshal(object, &o) != nil {
		return object
	}
	if meta := strip(o["metadata"]); meta != nil {
		o["metadata"] = meta
	}
	for list, in := range map[string]func(json.RawMessage) json.RawMessage{"items": stripItem, "rows": stripRow} {
		var all []json.RawMessage
		if o[list] == nil || json.Unmarshal(o[list], &all) != nil {
			continue
		}
		for i := range all {
			all[i] = in(all[i])
		}
		o[list] = marshal(all, o[list])
	}
	return marshal(o, object)
}

func stripItem(b json.RawMessage) json.RawMessage { return withoutManagedFields(b) }

// strip takes the managed fields out of metadata; nil if it has none.
func strip(meta json.RawMessage) json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(meta, &m) != nil || m["managedFields"] == nil {
		return nil
	}
	delete(m, "managedFields")
	return marshal(m, meta)
}

func stripRow(row json.RawMessage) json.RawMessage {
	var r map[string]json.RawMessage
	if json.Unmarshal(row, &r) != nil || r["object"] == nil {
		return row
	}
	r["object"] = withoutManagedFields(r["object"])
	return marshal(r, row)
}

// marshal encodes what was decoded before; if ever that fails, it was better as it was.
func marshal(v any, was json.RawMessage) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return was
	}
	return b
}

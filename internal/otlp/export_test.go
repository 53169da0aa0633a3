package otlp

// MaxPooled is the most that Pooled may return.
const MaxPooled = maxPooled

// Pooled returns how many elements one buffer of the next protobuf decoder holds on
// to at most, and whether anything still refers to a body.
func Pooled() (elements int, dirty bool) {
	d := protoDecoders.Get().(*protoDecoder)
	defer protoDecoders.Put(d)
	for _, l := range [...]*lists{&d.resource, &d.values} {
		n := 0
		for _, s := range l.depth {
			n += cap(s)
			for _, kv := range s[:cap(s)] {
				dirty = dirty || kv.Key != "" || kv.Value.Str != "" || kv.Value.Items != nil
			}
		}
		elements = max(elements, n)
	}
	for _, e := range d.events[:cap(d.events)] {
		dirty = dirty || e.Name != "" || e.Attrs != nil
	}
	return max(elements, cap(d.events)), dirty || d.buf != "" || d.span.Name != "" || d.origin.ScopeName != ""
}

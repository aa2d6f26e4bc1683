package fastship;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file of JSON lines. Lines are made by any thread and written whole, so
 * that a parallel build does not mix them; each is flushed, so that a killed
 * build leaves all that was said before.
 */
final class Report {
    private final OutputStream out;

    private Report(OutputStream out) {
        this.out = out;
    }

    /** Opens the file to append; null when there is none to write or it cannot be written. */
    static Report open(String path) {
        try {
            return path == null || path.isEmpty() ? null : new Report(new FileOutputStream(path, true));
        } catch (IOException e) {
            return null;
        }
    }

    Line line(String event) {
        return new Line().put("event", event);
    }

    /** One JSON object under construction. */
    final class Line {
        private final Map<String, Object> values = new LinkedHashMap<>();

        Line put(String key, Object value) {
            if (value != null) {
                values.put(key, value);
            }
            return this;
        }

        /** Appends an object to the list under key and returns that object. */
        @SuppressWarnings("unchecked")
        Line add(String key) {
            Line element = new Line();
            ((List<Object>) values.computeIfAbsent(key, k -> new ArrayList<>())).add(element);
            return element;
        }

        void write() {
            StringBuilder text = new StringBuilder(256);
            json(this, text);
            byte[] bytes = text.append('\n').toString().getBytes(StandardCharsets.UTF_8);
            synchronized (Report.this) {
                try {
                    out.write(bytes);
                    out.flush();
                } catch (IOException e) {
                    // A full disk fails the build by itself where it matters.
                }
            }
        }
    }

    private static void json(Object value, StringBuilder to) {
        if (value instanceof Line) {
            json(((Line) value).values, to);
        } else if (value instanceof Map) {
            String comma = "{";
            for (Map.Entry<?, ?> e : ((Map<?, ?>) value).entrySet()) {
                to.append(comma);
                quote(String.valueOf(e.getKey()), to);
                json(e.getValue(), to.append(':'));
                comma = ",";
            }
            to.append(comma.equals("{") ? "{}" : "}");
        } else if (value instanceof Collection) {
            String comma = "";
            to.append('[');
            for (Object element : (Collection<?>) value) {
                json(element, to.append(comma));
                comma = ",";
            }
            to.append(']');
        } else if (value instanceof Number || value instanceof Boolean) {
            to.append(value);
        } else {
            quote(String.valueOf(value), to);
        }
    }

    private static void quote(String s, StringBuilder to) {
        to.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c == '"' || c == '\\') {
                to.append('\\').append(c);
            } else if (c < ' ' || Character.isSurrogate(c)) {
                to.append(String.format("\\u%04x", (int) c));
            } else {
                to.append(c);
            }
        }
        to.append('"');
    }
}

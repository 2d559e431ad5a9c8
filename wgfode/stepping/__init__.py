"""Who steps in time: the methods by name, our own implicit and semi-implicit ones, and how stiff a flow is."""
